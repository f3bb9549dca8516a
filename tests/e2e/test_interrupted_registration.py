"""A run that stops between two writes: the next one completes what was begun."""

from pathlib import Path
from typing import Any

import pytest
from small_shop import DS, write_config, write_shop

from components.adapters.ledger import Ledger
from components.adapters.registry import Registry
from components.errors import Failed
from pipelines import deciding, running


def test_a_version_without_its_alias_is_completed_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shop(tmp_path, days=2, impressions=900, products=4)
    config = write_config(tmp_path, str(tmp_path / "store"))

    def gone(self: Registry, alias: str, number: int) -> None:
        raise Failed("MLflow does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "point", gone)
        with pytest.raises(Failed, match="does not answer"):
            running.run(config, DS, None, "local")
    desk = deciding.open_desk(config, "anna")
    assert desk.registry.alias("challenger") is None
    summary = running.run(config, DS, None, "local")
    assert summary.version == 1
    assert [version.number for version in desk.registry.versions()] == [1]
    assert desk.registry.alias("challenger").number == 1
    registered = [e for e in desk.entries() if e["kind"] == "registered"]
    assert [entry["version"] for entry in registered] == [1]


def test_a_judgement_that_the_ledger_missed_is_told_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shop(tmp_path, days=2, impressions=900, products=4)
    config = write_config(tmp_path, str(tmp_path / "store"))
    append = Ledger.append

    def killed(self: Ledger, kind: str, *rest: Any, **facts: Any) -> dict[str, Any]:
        if kind == "judged":
            raise Failed("killed after the decision was written")
        return append(self, kind, *rest, **facts)

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "append", killed)
        with pytest.raises(Failed, match="killed"):
            running.run(config, DS, None, "local")
    for _ in range(2):
        assert running.run(config, DS, None, "local").version == 1
        entries = deciding.open_desk(config, "anna").entries()
        assert [e["version"] for e in entries if e["kind"] == "judged"] == [1]
