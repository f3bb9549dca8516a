"""A judged version under tampering, and what doctor, audit and reproduce say of it."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from small_shop import DS, write_config, write_shop

from components.adapters.signing import open_trust
from components.day import Day
from components.errors import GencoError, Refused, WrongUse
from components.promotion import Desk
from components.register_version.sealed import check_sealed
from pipelines import auditing, deciding, doctor, reproducing, running

CHANGES = 60  # bytes changed, one at a time, of the bundle and of the ledger each


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trust")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    running.run(config, DS, None, "local")
    return config


def desk_of(config: Path) -> Desk:
    return deciding.open_desk(config, "anna")


def fault_of(desk: Desk, root: Path) -> str | None:
    """Why the stored bundle of version 1 is not sound, None where it is."""
    day = Day(ds=DS, store=str(root / "store"), work=str(root / "work"))
    bundle = desk.registry.get(1).bundle
    sealed = check_sealed(day, bundle, open_trust(desk.storage, ()))
    return None if sealed.is_sound else sealed.fault or sealed.signature


def changed(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    other = (content[place] + rng.randrange(1, 256)) % 256
    return content[:place] + bytes([other]) + content[place + 1 :]


def test_every_changed_byte_of_a_bundle_is_found(judged: Path) -> None:
    desk, rng = desk_of(judged), random.Random(0)
    files = sorted((judged.parent / "store" / desk.registry.get(1).bundle).iterdir())
    assert fault_of(desk, judged.parent) is None
    assert {"manifest.json", "signature", "reward.safetensors"} <= {f.name for f in files}
    for number in range(CHANGES):
        file = files[number % len(files)]
        was = file.read_bytes()
        file.write_bytes(changed(was, rng))
        assert fault_of(desk, judged.parent) is not None, file.name
        file.write_bytes(was)
    assert fault_of(desk, judged.parent) is None


def test_an_added_a_removed_and_a_pickled_file_are_found(judged: Path) -> None:
    desk = desk_of(judged)
    folder = judged.parent / "store" / desk.registry.get(1).bundle
    for name in ("notes.txt", "weights.pkl", "model.pt"):
        (folder / name).write_bytes(b"\x80\x04N.")
        assert fault_of(desk, judged.parent) is not None, name
        (folder / name).unlink()
    card = folder / "card.md"
    was = card.read_bytes()
    card.unlink()
    assert fault_of(desk, judged.parent) is not None
    card.write_bytes(was)
    assert fault_of(desk, judged.parent) is None


def test_every_changed_byte_of_the_ledger_is_found(judged: Path) -> None:
    desk, rng = desk_of(judged), random.Random(1)
    store = judged.parent / "store"
    files = [*sorted((store / "ledger").rglob("*.json")), *(store / "heads").rglob("*.json")]
    assert len(files) > 3
    for number in range(CHANGES):
        file = files[number % len(files)]
        was = file.read_bytes()
        file.write_bytes(changed(was, rng))
        with pytest.raises(GencoError):
            desk.entries()
        file.write_bytes(was)
    assert desk.entries()


def test_a_ledger_cut_in_the_middle_or_at_its_end_is_found(judged: Path) -> None:
    desk = desk_of(judged)
    files = sorted((judged.parent / "store" / "ledger").rglob("*.json"))
    for file in (files[0], files[len(files) // 2], files[-1]):
        was = file.read_bytes()
        file.unlink()
        with pytest.raises(GencoError):
            desk.entries()
        file.write_bytes(was)


def test_a_bundle_changed_after_sealing_is_not_judged_from(judged: Path, tmp_path: Path) -> None:
    from pipelines.scoring import open_bundle

    desk = desk_of(judged)
    source = judged.parent / "store" / desk.registry.get(1).bundle
    for file in source.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert open_bundle(tmp_path).slots
    signature = tmp_path / "signature"
    signature.write_bytes(changed(signature.read_bytes(), random.Random(2)))
    with pytest.raises(Refused, match="signature"):
        open_bundle(tmp_path)


def test_the_doctor_finds_nothing_wrong_and_then_an_alias_moved_by_hand(judged: Path) -> None:
    found = doctor.examine(judged)
    assert [one.sentence for one in found if one.status == "wrong"] == []
    desk = desk_of(judged)
    desk.registry.point("champion", 1)
    wrong = [one.sentence for one in doctor.examine(judged) if one.status == "wrong"]
    assert any("moved without the ledger" in sentence for sentence in wrong), wrong
    desk.registry._client.delete_registered_model_alias("small", "champion")
    assert doctor.is_clean(doctor.examine(judged))


def test_no_version_with_a_changed_byte_becomes_champion(judged: Path) -> None:
    desk = desk_of(judged)
    version = desk.registry.get(1)
    assert desk.unsound(version) is None
    weights = judged.parent / "store" / version.bundle / "reward.safetensors"
    was = weights.read_bytes()
    weights.write_bytes(changed(was, random.Random(3)))
    with pytest.raises(Refused, match="not the file that was sealed"):
        desk._crown(version, "promoted", {"version": 1, "by": "anna"})
    assert desk.registry.alias("champion") is None
    assert desk.entries()[-1]["kind"] == "refused"
    weights.write_bytes(was)


def test_the_audit_says_which_version_served_when(judged: Path) -> None:
    entries = auditing.entries_of(judged)
    first = datetime.fromisoformat(entries[0]["at"])
    nobody = auditing.who(entries, (first - timedelta(days=1)).isoformat())
    assert nobody["version"] is None
    crowned = {"kind": "promoted", "version": 1, "at": entries[-1]["at"], "number": 99, "by": "x"}
    served = auditing.who([*entries, crowned], (first + timedelta(days=1)).isoformat())
    assert served["version"] == 1
    with pytest.raises(WrongUse):
        auditing.who(entries, "yesterday")


def test_the_same_inputs_code_and_seed_make_the_identical_version(judged: Path) -> None:
    told = reproducing.reproduce(judged, 1, force=False)
    assert (told["answer"], told["differences"]) == ("identical", [])


def test_another_config_is_not_reproduced_without_force(judged: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(judged.read_text() + "seed: 5\n")
    with pytest.raises(Refused, match="seed"):
        reproducing.reproduce(other, 1, force=False)
