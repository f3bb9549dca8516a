"""The catalog's snapshots as Arrow tables (CONTRACT 2).

Candidates and rules are those of the latest snapshot up to ds. A log row is judged against every
snapshot up to ds, since an element that was retired yesterday was rightly shown last week.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from components.adapters.storage import Storage
from components.errors import Refused
from components.ingest_logs.flagging import combination_key
from components.ingest_logs.inputs import LogFile, find_files
from components.ingest_logs.snapshot import check_once, read_snapshot
from components.ingest_logs.typed_parquet import creative_of_map
from components.sql import quote

if TYPE_CHECKING:
    import duckdb

_FIRST_DAY = "0000-00-00"


@dataclass(frozen=True)
class Catalog:
    """Elements ever known, those of the latest snapshot, and its rules; `digest_parts` names it."""

    known: pa.Table
    elements: pa.Table
    combinations: pa.Table | None
    forbidden: pa.Table | None
    digest_parts: tuple[str, ...]


def read_catalog(storage: Storage, ds: str, slots: tuple[str, ...]) -> Catalog:
    """The catalog as of ds; refused where it has no elements or a file that cannot be read."""
    files = find_files(storage, ("elements", "combinations", "forbidden"), _FIRST_DAY, ds)
    elements = [file for file in files if file.kind == "elements"]
    if not elements:
        raise Refused(
            f"the catalog {storage.root} has no elements/dt=*/ snapshot up to ds={ds}; expected at "
            "least one (CONTRACT 2): ask the merchandising side to write it, or correct `catalog`"
        )
    latest = max(file.dt for file in elements)
    every = read_snapshot(list(reversed(elements)))
    known = every.filter(pc.is_in(every["slot"], pa.array(slots)))
    current = known.filter(pc.equal(known["dt"], latest))
    if not len(current):
        newest = every.filter(pc.equal(every["dt"], latest))
        found = ", ".join(sorted(pc.unique(newest["slot"]).to_pylist())) or "no row at all"
        raise Refused(
            f"the catalog's snapshot elements/dt={latest}/ has no element of the config's slots "
            f"{', '.join(slots)} (found {found}); expected some: write the snapshot again, or "
            "correct `slots`"
        )
    check_once(current, f"elements/dt={latest}/")
    return Catalog(
        known=known,
        elements=current,
        combinations=_latest(files, "combinations", latest),
        forbidden=_latest(files, "forbidden", latest),
        digest_parts=tuple(f"{file.path}:{file.sha256}" for file in files),
    )


def _latest(files: list[LogFile], kind: str, until: str) -> pa.Table | None:
    days = [file.dt for file in files if file.kind == kind and file.dt <= until]
    if not days:
        return None
    chosen = [file for file in files if file.kind == kind and file.dt == max(days)]
    return read_snapshot(chosen).drop_columns(["dt"])


def load_rules(
    database: "duckdb.DuckDBPyConnection", catalog: Catalog, slots: tuple[str, ...]
) -> bool:
    """Tables known_<n> (of slot n), allowed and forbidden; whether combinations are restricted."""
    database.register("known_rows", catalog.known.select(["product_id", "slot", "element_id"]))
    for number, slot in enumerate(slots):
        database.execute(
            f"CREATE TABLE known_{number} AS SELECT DISTINCT product_id, element_id "
            f"FROM known_rows WHERE slot = {quote(slot)}"
        )
    database.execute("CREATE TABLE allowed (product_id VARCHAR, key VARCHAR)")
    database.execute(
        "CREATE TABLE forbidden (product_id VARCHAR, slot_a VARCHAR, element_a VARCHAR, "
        "slot_b VARCHAR, element_b VARCHAR)"
    )
    if catalog.combinations is not None:
        database.register("allowed_rows", catalog.combinations)
        as_map = "CAST(to_json(creative) AS MAP(VARCHAR, VARCHAR))"
        if pa.types.is_string(catalog.combinations["creative"].type):
            as_map = "CAST(CAST(creative AS JSON) AS MAP(VARCHAR, VARCHAR))"
        value, other = creative_of_map("c", slots)
        database.execute(
            f"INSERT INTO allowed SELECT DISTINCT product_id, {combination_key(slots)} FROM ("
            f"SELECT product_id, {value} AS creative, {other} AS other_slots "
            f"FROM (SELECT product_id, {as_map} AS c FROM allowed_rows)) s"
        )
    if catalog.forbidden is not None:
        database.register("forbidden_rows", catalog.forbidden)
        database.execute(
            "INSERT INTO forbidden SELECT product_id, slot_a, element_a, slot_b, element_b "
            "FROM forbidden_rows"
        )
    return catalog.combinations is not None or catalog.forbidden is not None
