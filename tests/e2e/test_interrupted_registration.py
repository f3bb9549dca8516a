"""MLflow goes away between registering and aliasing: the next run completes what was begun."""

from pathlib import Path

import pytest
from small_shop import DS, write_config, write_shop

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
