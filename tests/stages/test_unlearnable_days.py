"""A day that the reward model cannot learn from is refused in one sentence; exit code 4."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_logs import DS, impression, write_catalog, write_good_day, write_lines
from told_days import write_config
from typer.testing import CliRunner

from components.errors import Refused
from components.sql import within
from pipelines import cli


def embedded(root: Path, odd: list[float]) -> None:
    """Both images of p0 have embeddings, the second one an odd one."""
    (file,) = (root / "catalog").rglob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    for row in rows:
        row["embedding"] = [1.0, 2.0, 3.0] if row["slot"] == "image" else None
    (bent,) = [r for r in rows if (r["product_id"], r["element_id"]) == ("p0", "m1")]
    bent["embedding"] = odd
    types = pa.schema([(n, pa.string()) for n in ("product_id", "slot", "element_id", "text")])
    types = types.append(pa.field("embedding", pa.list_(pa.float32())))
    pq.write_table(pa.Table.from_pylist(rows, types), file)


def good(root: Path) -> None:
    write_good_day(root)


def no_clicks(root: Path) -> None:
    write_lines(root, "impressions", DS, [impression(n) for n in range(60)])


BAD: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no clicks": (no_clicks, "", "found no click in 47 displays"),
    "all labels young": (
        good,
        "attribution: {click_hours: 10000}\n",
        "none of 47 bags has a final click label; wait",
    ),
    "an embedding cut off": (
        lambda root: (good(root), embedded(root, [1.0]))[0],
        "",
        "1 of 4 embeddings of slot image have another length than 3, first: element m1 of "
        "product p0 with 1; expected one length a slot: correct the catalog",
    ),
    "an embedding that is no number": (
        lambda root: (good(root), embedded(root, [1.0, float("nan"), 2.0]))[0],
        "",
        "1 of 4 embeddings of slot image hold values that are not finite, first: element m1 of "
        "product p0; expected numbers: correct the catalog",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_day_that_cannot_be_learned_from_is_refused_with_the_reason(
    tmp_path: Path, name: str
) -> None:
    write, more, reason = BAD[name]
    write_catalog(tmp_path)
    write(tmp_path)
    file = write_config(tmp_path, more)
    told = CliRunner().invoke(
        cli.app,
        ["run", "--ds", DS, "--config", str(file), "--until", "train_reward", "--json"],
    )
    assert told.exit_code == 4
    summary = json.loads(told.output.strip().splitlines()[-1])
    assert summary["verdict"] == "BLOCKED"
    assert any(reason in said for said in summary["reasons"]), summary["reasons"]


def test_work_that_memory_cannot_hold_is_refused_with_what_to_raise(tmp_path: Path) -> None:
    write_catalog(tmp_path)
    good(tmp_path)
    file = write_config(tmp_path, "ingest: {memory: 8MB}\n")
    told = CliRunner().invoke(cli.app, ["run", "--ds", DS, "--config", str(file)])
    assert told.exit_code == 4
    said = "a day's rows and catalog did not fit in 8MB of memory, which follows from ingest.memory"
    assert said in " ".join(told.output.split())


def test_features_that_memory_cannot_hold_are_refused_too() -> None:
    """Of five million elements at the default of 2GB; the same words from the engine's own error."""
    import duckdb

    database = duckdb.connect()
    database.execute("SET memory_limit = '4MB'; SET temp_directory = ''")
    with (
        pytest.raises(Refused, match="the features did not fit in 4MB"),
        within("4MB", "the features"),
    ):
        database.execute("CREATE TABLE t AS SELECT range AS a, random() AS b FROM range(3000000)")
