"""A judged version, and what people may do with it."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from small_shop import DS, write_config, write_shop

from components.errors import Refused, WrongUse
from components.promotion import decision_path
from pipelines import deciding, running


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose only version is a PROMOTE by decree, so that people have something to do."""
    root = tmp_path_factory.mktemp("decisions")
    write_shop(root, days=2, impressions=900, products=4)
    config = write_config(root, str(root / "store"))
    running.run(config, DS, None, "local")
    desk = deciding.open_desk(config, "anna")
    version = desk.registry.get(1)
    path = decision_path(version.bundle)
    decision = json.loads(desk.storage.read(path)) | {"verdict": "PROMOTE", "author": "scheduler"}
    desk.storage.write(path, json.dumps(decision).encode())
    return config


def test_nothing_is_promoted_without_an_approval_and_the_refusal_is_recorded(judged: Path) -> None:
    with pytest.raises(Refused, match="nobody approved"):
        deciding.promote(judged, "anna", 1)
    assert deciding.open_desk(judged, "anna").entries()[-1]["kind"] == "refused"


def test_whoever_started_the_run_cannot_approve(judged: Path) -> None:
    with pytest.raises(Refused, match="another person"):
        deciding.open_desk(judged, "scheduler").approve(1, "looks fine")


def test_whoever_first_judged_by_the_limits_cannot_approve(judged: Path) -> None:
    (entry,) = [e for e in deciding.open_desk(judged, "anna").entries() if e["kind"] == "limits"]
    with pytest.raises(Refused, match="these limits"):
        deciding.open_desk(judged, entry["by"]).approve(1, "my own limits")


def test_a_review_names_the_page_and_gate_explain_every_open_finding(judged: Path) -> None:
    from pipelines import gating

    told = gating.review(judged, 1)
    assert told["verdict"] == "PROMOTE"
    assert Path(told["page"]).is_file()
    explained = gating.explained(judged, 1)
    decision = gating.read_decision(deciding.open_desk(judged, "anna"), 1)
    assert len(explained["open"]) == len(decision["reasons"])
    with pytest.raises(WrongUse, match="never judged"):
        gating.explained(judged, 99)


def test_an_approval_needs_a_reason(judged: Path) -> None:
    with pytest.raises(WrongUse, match="reason"):
        deciding.open_desk(judged, "anna").approve(1, "  ")


def test_without_a_champion_there_is_nothing_to_rebaseline(judged: Path) -> None:
    with pytest.raises(WrongUse, match="no champion"):
        deciding.open_desk(judged, "anna").rebaseline("nothing serves")


def test_of_two_approvers_at_once_one_wins_and_the_other_is_told(judged: Path) -> None:
    outcomes: dict[str, str] = {}

    def approve(who: str) -> None:
        try:
            deciding.open_desk(judged, who).approve(1, "at the same time")
            outcomes[who] = "approved"
        except Refused as error:
            outcomes[who] = str(error)

    threads = [threading.Thread(target=approve, args=(who,)) for who in ("anna", "ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [who for who, came in outcomes.items() if came == "approved"]
    (told,) = [came for came in outcomes.values() if came != "approved"]
    assert f"{winner} approved it until" in told
    approvals = [e for e in deciding.open_desk(judged, "anna").entries() if e["kind"] == "approved"]
    assert [entry["by"] for entry in approvals] == [winner]
    deciding.open_desk(judged, winner).reject(1, "to start again")


def test_an_approved_version_is_promoted_published_and_rolled_back(judged: Path) -> None:
    desk = deciding.open_desk(judged, "anna")
    desk.approve(1, "better where it matters")
    deciding.promote(judged, "anna", 1)
    assert desk.registry.alias("champion").number == 1
    manifest = json.loads(desk.storage.read(f"manifests/ds={DS}.json"))
    assert manifest["policy"] == {"version": 1}
    assert manifest["tables"]["policy"][0]["rows"] > 0
    assert deciding.rollback(judged, "anna", "1", "as an exercise")["kind"] == "rolled back"
    kinds = [entry["kind"] for entry in desk.entries()]
    assert kinds[-3:] == ["approved", "promoted", "rolled back"]


def test_an_approval_is_void_once_the_evidence_is_made_again(judged: Path) -> None:
    desk = deciding.open_desk(judged, "anna")
    desk.approve(1, "again")
    path = decision_path(desk.registry.get(1).bundle)
    was = desk.storage.read(path)
    desk.storage.write(path, was + b"\n")
    with pytest.raises(Refused, match="evidence changed"):
        deciding.promote(judged, "anna", 1)
    desk.storage.write(path, was)


def test_an_approval_expires(judged: Path) -> None:
    from datetime import timedelta

    desk = deciding.open_desk(judged, "anna")
    desk.approve(1, "in time")
    later = replace(desk, clock=lambda: desk.clock() + timedelta(hours=49))
    with pytest.raises(Refused, match="expired"):
        later.promote(1)


def test_a_changed_ledger_entry_is_found(judged: Path) -> None:
    desk = deciding.open_desk(judged, "anna")
    first = desk.storage.listing("ledger")[0].path
    was = desk.storage.read(first)
    desk.storage.write(first, was + b" ")
    with pytest.raises(Exception, match="does not follow"):
        desk.entries()
    desk.storage.write(first, was)
    assert len(desk.entries()) > 0


def test_a_champion_of_another_context_holds_until_a_person_rebaselines(
    judged: Path, tmp_path: Path
) -> None:
    text = judged.read_text()
    config = tmp_path / "fewer.yaml"
    config.write_text(text.replace(", segment: categorical", ""))
    desk = deciding.open_desk(judged, "anna")
    assert desk.registry.alias("champion").number == 1
    held = running.run(config, DS, None, "local")
    assert held.verdict != "PROMOTE"
    assert any("it knows slots title" in reason for reason in held.reasons)
    again = running.run(config, DS, None, "local", rebaseline="the segment is gone")
    assert not any("it knows slots title" in reason for reason in again.reasons)
    entry = [e for e in desk.entries() if e["kind"] == "rebaselined"][-1]
    assert (entry["champion"], entry["reason"]) == (1, "the segment is gone")
