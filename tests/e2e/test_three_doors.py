"""One day through the in-process door and through KFP's local runner: the same files."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from message_places import webhook
from published_files import published_files
from small_shop import DS, write_config, write_shop

from components.errors import Failed
from pipelines import running


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("doors")
    write_shop(root)
    private, public = signing_key()
    trusted = f"registry: {{trusted_keys: [{json.dumps(public)}]}}\n"
    summaries = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENCO_SIGNING_KEY", private)
        for runner in running.RUNNERS:
            config = write_config(root, str(root / runner), trusted)
            summaries[runner] = running.run(config, DS, None, runner)
        yield root, summaries


def signing_key() -> tuple[str, str]:
    """A key pair as PEM, so that both stores' bundles carry the same signature."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def test_the_same_day_through_both_doors_gives_the_same_files(doors) -> None:
    root, _ = doors
    local, kfp = published_files(root / "local"), published_files(root / "kfp")
    assert len(local) > 30
    assert sorted(local) == sorted(kfp)
    assert [path for path in local if local[path] != kfp[path]] == []


def test_both_doors_tell_the_same_story(doors) -> None:
    _, summaries = doors
    local, kfp = summaries["local"], summaries["kfp"]
    assert local.verdict in ("HOLD", "PROMOTE", "REJECT")
    assert (local.verdict, local.version, local.reasons) == (kfp.verdict, kfp.version, kfp.reasons)


def test_a_day_run_again_is_unchanged_and_makes_no_version(doors) -> None:
    root, summaries = doors
    before = published_files(root / "local")
    again = running.run(root / "local.yaml", DS, None, "local")
    assert again.verdict == "UNCHANGED"
    assert again.version == summaries["local"].version
    assert published_files(root / "local") == before


def test_every_row_of_every_file_is_accounted_for(doors) -> None:
    root, _ = doors
    for manifest in (root / "local" / "manifests").glob("ds=*.json"):
        for row in json.loads(manifest.read_text())["accounting"]:
            assert row["read"] == row["kept"] + row["duplicate"] + row["quarantined"], row


def test_a_refused_day_is_blocked_through_both_doors_and_one_message_says_why(
    doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = doors
    with webhook() as hook:
        monkeypatch.setenv("GENCO_WEBHOOK_URL", hook.url)
        told = [
            running.run(root / f"{runner}.yaml", "2026-11-24", None, runner)
            for runner in running.RUNNERS
        ]
    local, kfp = told
    assert local.verdict == kfp.verdict == "BLOCKED"
    assert local.reasons == [kfp.reasons[0].replace("/kfp", "/local")]
    assert "no impressions or aggregates for ds=2026-11-24" in kfp.reasons[0]
    sent = [one["metadata"]["event_payload"]["status"] for one in hook.taken]
    assert sent == ["BLOCKED", "BLOCKED"]
    assert all("no impressions or aggregates" in one["text"] for one in hook.taken)


def test_a_step_that_fails_is_named_by_kfps_runner_and_in_the_message(
    doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = doors
    away = root / "away.yaml"
    text = (root / "kfp.yaml").read_text().replace(f"{root}/logs", "s3://ads/logs")
    away.write_text(text + "endpoint_url: http://127.0.0.1:9\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with webhook() as hook:
        monkeypatch.setenv("GENCO_WEBHOOK_URL", hook.url)
        with pytest.raises(Failed, match="step ingest_logs failed under KFP's runner: cannot"):
            running.run(away, DS, None, "kfp")
    assert hook.taken[0]["metadata"]["event_payload"]["status"] == "FAILED"
    assert "ingest_logs: cannot" in hook.taken[0]["text"]
