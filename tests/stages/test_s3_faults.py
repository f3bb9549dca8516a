"""S3 that fails in the middle: retried, or refused in one sentence, and never half published."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import tiny_logs
from faulty_s3 import Fault, FaultyS3, faulty_s3
from service_place import Place, started

from components.adapters.ledger import Ledger
from components.adapters.storage import S3Storage
from components.day import Day, to_json
from components.errors import Conflict, Failed
from components.ingest_logs.stage import Result, Settings, run
from components.manifests import change_manifest, read_manifest

BIG = bytes(range(256)) * 1000


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """SeaweedFS alone, and this process's environment with its keys."""
    with started(("s3",)) as here:
        before = dict(os.environ)
        os.environ.update({k: v for k, v in here.environment().items() if k.startswith("AWS_")})
        yield here
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            os.environ.pop(name)
        os.environ.update(before)


@pytest.fixture
def faulty(place: Place) -> Iterator[FaultyS3]:
    with faulty_s3(urlsplit(os.environ["AWS_ENDPOINT_URL_S3"]).netloc) as proxy:
        yield proxy


@pytest.fixture
def store(faulty: FaultyS3, request: pytest.FixtureRequest) -> S3Storage:
    """A prefix of the test's own, spoken to through the proxy."""
    own = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return S3Storage(f"s3://genco/{own}", faulty.url)


@pytest.mark.parametrize("kind", ["error", "dropped", "slow", "lost"])
def test_a_write_that_fails_once_is_done_again(faulty, store, kind: str) -> None:
    faulty.faults.append(Fault(kind, "PUT", "/one"))
    store.write("one", BIG)
    assert store.read("one") == BIG
    assert faulty.count("PUT", "/one") == (1 if kind == "slow" else 2)


@pytest.mark.parametrize("kind", ["error", "dropped", "slow", "lost", "torn"])
def test_a_read_that_fails_once_is_done_again(faulty, store, kind: str) -> None:
    store.write("one", BIG)
    faulty.faults.append(Fault(kind, "GET", "/one"))
    assert store.read("one") == BIG


@pytest.mark.parametrize("kind", ["error", "dropped", "torn"])
def test_a_download_that_fails_once_is_whole(faulty, store, kind: str) -> None:
    store.write(f"{kind}-file", BIG)
    faulty.faults.append(Fault(kind, "GET", f"/{kind}-file"))
    assert store.fetch(f"{kind}-file").read_bytes() == BIG


def test_an_upload_that_never_comes_through_is_one_sentence(faulty, store, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(BIG)
    faulty.faults.append(Fault("error", "PUT", "/one", times=99))
    with pytest.raises(Failed, match=r"cannot upload s3://genco/.*one.*InternalError") as refused:
        store.upload(local, "one")
    assert "\n" not in str(refused.value)
    assert not store.exists("one")


def test_a_torn_connection_that_stays_torn_is_one_sentence(faulty, store) -> None:
    store.write("one", BIG)
    faulty.faults.append(Fault("torn", "GET", "/one", times=99))
    with pytest.raises(Failed, match=r"cannot read s3://genco/.*one") as refused:
        store.read("one")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("was", [None, b"before"])
def test_a_conditional_write_whose_answer_was_lost_is_ours(faulty, store, was) -> None:
    if was is not None:
        store.replace("one", was, None)
    faulty.faults.append(Fault("lost", "PUT", "/one"))
    store.replace("one", b"after", was)
    assert store.read("one") == b"after"


def test_another_writers_equal_bytes_are_not_taken_for_ours(store, faulty) -> None:
    store.replace("one", b"same", None)
    with pytest.raises(Conflict, match="another run"):
        store.replace("one", b"same", None)


@pytest.mark.parametrize("kind", ["error", "dropped", "lost"])
def test_a_manifest_is_the_old_or_the_new_one_whatever_fails(faulty, store, kind: str) -> None:
    old = change_manifest(store, "2026-03-10", lambda was: {"ds": "2026-03-10", "n": 1})
    faulty.faults.append(Fault(kind, "PUT", "/manifests/", times=99))
    with pytest.raises((Failed, Conflict)):
        change_manifest(store, "2026-03-10", lambda was: {**(was or {}), "n": 2})
    faulty.faults.clear()
    found = read_manifest(store, "2026-03-10")
    assert found in (old, {**old, "n": 2})
    again = change_manifest(store, "2026-03-10", lambda was: {**(was or {}), "n": 2})
    assert store.read("manifests/ds=2026-03-10.json") == to_json(again)


def test_a_ledger_whose_answer_was_lost_holds_the_entry_once(faulty, store) -> None:
    ledger = Ledger(store, "small")
    at = datetime(2026, 3, 10, tzinfo=UTC)
    ledger.append("first", at)
    faulty.faults.append(Fault("lost", "PUT", "/ledger/"))
    ledger.append("second", at)
    assert [entry["kind"] for entry in ledger.entries()] == ["first", "second"]
    assert ledger.lag() == 0


def test_another_place_has_its_own_credentials_and_reads_nothing_of_boto3_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from botocore.loaders import JSONFileLoader

    def refused(*_: object) -> None:
        raise AssertionError("a description was read again")

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    for who in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", who)
        url = S3Storage("s3://one/place", "http://127.0.0.1:9")._client.generate_presigned_url(
            "get_object", Params={"Bucket": "one", "Key": "place"}
        )
        assert f"AWSAccessKeyId={who}" in url
        monkeypatch.setattr(JSONFileLoader, "load_file", refused)


DAYS = [f"2026-03-{n:02d}" for n in range(5, 11)]
SETTINGS = {
    "slots": tiny_logs.SLOTS,
    "context": tiny_logs.CONTEXT,
    "window_days": 3,
    "click_hours": 1,
    "conversion_days": 1,
    "late_days": 0,
    "user_limit": 100,
    "memory": "1GB",
    "identity": {},
}


@pytest.fixture
def ingest(store: S3Storage, faulty: FaultyS3, tmp_path: Path) -> Callable[..., Result]:
    """Ingest of a day of six in the bucket; what it asked for begins with it."""
    for ds in DAYS:
        tiny_logs.write_good_day(tmp_path, ds)
    tiny_logs.write_catalog(tmp_path, DAYS[0])
    for file in sorted(tmp_path.rglob("*.*")):
        store.upload(file, str(file.relative_to(tmp_path)))

    def run_day(ds: str) -> Result:
        faulty.asked.clear()
        places = {"logs": f"{store.root}/logs", "catalog": f"{store.root}/catalog"}
        settings = Settings(**places, endpoint=faulty.url, **SETTINGS)
        place = {"store": f"{store.root}/store", "endpoint": faulty.url}
        return run(Day(ds=ds, work=str(tmp_path / "work"), **place), settings)

    return run_day


def _log(ds: str) -> str:
    return f"/logs/impressions/dt%3D{ds}/"


def test_files_of_days_that_did_not_change_are_not_asked_for_again(ingest, faulty) -> None:
    first = ingest(DAYS[4])
    assert faulty.count("GET", _log(DAYS[1])) == 1
    second = ingest(DAYS[5])
    assert second.again == DAYS[4:]
    for far in DAYS[1:3]:
        assert faulty.count("HEAD", _log(far)) + faulty.count("GET", _log(far)) == 0
    assert {ds: first.made[ds] for ds in DAYS[3:4]}.items() <= second.made.items()


def test_a_file_that_is_replaced_while_a_run_reads_it_is_refused(ingest, store) -> None:
    ingest(DAYS[4])
    [kept] = store.listing("store/digests")
    known = json.loads(store.read(kept.path))
    path = f"impressions/dt={DAYS[4]}/part-0.jsonl.gz"
    known[path][2] = "0" * 64
    store.write(kept.path, to_json(known))
    with pytest.raises(Failed, match=rf"{path} of s3://.* was replaced while") as refused:
        ingest(DAYS[4])
    assert "\n" not in str(refused.value)
