"""`genco features`: plan, apply, materialize and freshness of a published day, and their exit codes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tiny_day import judge
from tiny_logs import CONTEXT, DS, SLOTS, click, impression, write_catalog, write_lines
from typer.testing import CliRunner

from components.adapters.feature_declarations import FEATURE_REPO
from components.adapters.feature_plan import described, differences
from components.adapters.feature_store import FeatureDoor
from components.errors import Failed, WrongUse
from components.manifests import change_manifest
from components.materialize_features import stage
from pipelines import cli
from pipelines.config import load_config
from pipelines.plan import features_settings

EVE = "2026-03-09"
AFTER = "2026-03-11T03:00"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny days of which the second has features and, as if judged, a run."""
    root = tmp_path_factory.mktemp("verbs")
    file = root / "tiny.yaml"
    context = json.dumps(CONTEXT)
    file.write_text(
        f"name: tiny\nlogs: {root}/logs\ncatalog: {root}/catalog\nstore: {root}/store\n"
        f"work: {root}/work\nslots: {list(SLOTS)}\ncontext: {context}\nwindow_days: 7\nholdout: {{days: 1}}\n"
    )
    write_catalog(root, EVE)
    for ds in (EVE, DS):
        write_lines(root, "impressions", ds, [impression(n, ds) for n in range(12)])
        write_lines(root, "clicks", ds, [click(n, ds) for n in (1, 4)])
        judged = judge(root, ds)
    day = judged.arrived.day
    stage.run(day, features_settings(load_config(file)))
    run = {"attempt": day.attempt}
    change_manifest(day.storage(), DS, lambda was: {**(was or {}), "run": run})
    return file


def ask(config: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(cli.app, ["features", *words, "--config", str(config), "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, json.loads(done.stdout.splitlines()[-1])


def door_of(config: Path) -> FeatureDoor:
    return FeatureDoor(config.parent / "work" / "feast", "tiny")


def states(told: dict[str, Any]) -> dict[str, str]:
    return {one["view"]: one["state"] for one in told["views"]}


def test_a_run_leaves_the_registry_as_declared(config: Path) -> None:
    code, told = ask(config, "plan")
    assert (code, told["changes"]) == (0, [])
    assert told["registered"] == told["declared"]


def test_plan_names_every_difference_and_apply_mends_it(config: Path) -> None:
    from feast import FeatureView, Field
    from feast.types import Float64

    door = door_of(config)
    view, service = door.view("product_history"), door.view("cell_history")
    kept = [field for field in view.features if field.name != "product_rate_1"]
    other = FeatureView(
        name="product_history",
        entities=[one for one in door.registered() if one.name == "product"],
        schema=[*kept[1:], Field(name=kept[0].name, dtype=Float64)],
        source=view.batch_source,
    )
    stray = FeatureView(name="stray", schema=kept, source=service.batch_source)
    door._store.delete_feature_service("served")
    door._store.apply([other, stray])
    _, told = ask(config, "plan")
    found = {(one["kind"], one["name"]): one for one in told["changes"]}
    assert {key: one["change"] for key, one in found.items()} == {
        ("FeatureService", "served"): "added",
        ("FeatureView", "product_history"): "changed",
        ("FeatureView", "stray"): "removed",
    }
    assert found["FeatureView", "product_history"]["details"] == [
        "field product_rate_1 added (Float32)",
        f"field {kept[0].name}: Float64 -> Float32",
        f"ttl: {other.ttl} -> 29 days, 0:00:00",
    ]
    assert ask(config, "apply")[1]["changes"] == told["changes"]
    assert ask(config, "plan")[1]["changes"] == []


def test_freshness_says_how_old_and_whether_online_is_offline(config: Path) -> None:
    code, told = ask(config, "freshness", "--at", AFTER)
    assert (code, set(states(told).values())) == (0, {"fresh"})
    ages = {one["view"]: (one["newest_event"], one["age_hours"]) for one in told["views"]}
    assert ages["cell_history"] == ("2026-03-11T00:00:00+00:00", 3.0)
    assert ages["element_content"] == (f"{EVE}T00:00:00+00:00", 51.0)  # the catalog's snapshot
    assert all(one["sampled"] == one["equal"] > 0 for one in told["views"])


def test_stale_values_are_held_and_different_ones_refused(config: Path) -> None:
    code, told = ask(config, "freshness", "--at", "2026-03-13T00:00", "--limit-hours", "47")
    assert (code, states(told)["element_history"]) == (3, "stale")
    assert states(told)["element_content"] == "fresh"  # what an element is never expires
    door = door_of(config)
    rows = pq.read_table(door.folder / "product_history.parquet")
    rows = rows.filter(pc.equal(rows["event_timestamp"], pc.max(rows["event_timestamp"])))
    place = rows.schema.get_field_index("product_rate_7")
    wrong = rows.set_column(place, "product_rate_7", pa.array([9.0] * len(rows), pa.float32()))
    door.write_online("product_history", wrong)
    code, told = ask(config, "freshness", "--at", AFTER)
    assert (code, states(told)["product_history"]) == (4, "unequal")
    door.write_online("product_history", rows)
    assert ask(config, "freshness", "--at", AFTER)[0] == 0


def test_materialize_fills_an_empty_store_and_goes_on_from_its_ledger(config: Path) -> None:
    shutil.rmtree(door_of(config).folder)
    code, told = ask(config, "freshness", "--at", AFTER)
    assert (code, states(told)["cell_history"]) == (4, "unequal")  # nothing is online
    code, told = ask(config, "materialize", "--chunk", "2")
    assert code == 0
    assert told["ds"] == told["to"] == DS
    assert all(one["written"] == one["keys"] > 0 for one in told["views"])
    assert ask(config, "freshness", "--at", AFTER)[0] == 0
    _, again = ask(config, "materialize", "--chunk", "2")
    assert {one["written"] for one in again["views"]} == {0}


def test_wrong_use_is_named(config: Path, tmp_path: Path) -> None:
    for words, said in (
        (("nonsense",), "features takes plan, apply, materialize, freshness"),
        (("materialize", "--view", "clicks"), "--view clicks is none of element_history"),
        (("materialize", "--from", DS, "--to", EVE), "expected the older day first"),
        (("freshness", "--at", "noon"), "'noon' is no time"),
    ):
        with pytest.raises(WrongUse, match=said):
            ask(config, *words)
    with pytest.raises(Failed, match=f"no run of ds={EVE} is published"):
        ask(config, "freshness", "--ds", EVE)


def test_feast_apply_on_the_command_line_registers_what_the_door_does(tmp_path: Path) -> None:
    """Feast skips, silently, a file whose bare name is imported already; hence the names ad_*."""
    copy = tmp_path / "feature_repo"
    shutil.copytree(FEATURE_REPO, copy, ignore=shutil.ignore_patterns("__pycache__", "data"))
    feast = Path(sys.executable).with_name("feast")
    done = subprocess.run([feast, "-c", copy, "apply"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    from feast import FeatureStore

    theirs = FeatureStore(repo_path=str(copy))
    told = [
        *(one for one in theirs.list_entities() if not one.name.startswith("__")),
        *theirs.list_feature_views(),
        *theirs.list_feature_services(),
    ]
    door = FeatureDoor(tmp_path / "ours", "genco")
    door.apply()
    assert differences(told, door.registered()) == []
    assert len(described(told)) == 3 + 5 + 3
