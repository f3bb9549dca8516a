"""`genco dq`: verdict, accounting and quarantined rows of the attempt of a day judged last."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.adapters.storage import open_storage
from components.errors import WrongUse
from components.manifests import fetch_table, read_judged
from components.plan import check_ds
from pipelines.config import load_config
from pipelines.running import absolute


def report(file: Path, ds: str) -> dict[str, Any]:
    """Verdict, reasons and the accounting of every file of the day."""
    _, manifest = _open(file, ds)
    kept = {"ds", "verdict", "reasons", "accounting", "rule_set", "attempt"}
    return {key: value for key, value in manifest.items() if key in kept}


def show(file: Path, ds: str, rule: str | None, limit: int) -> dict[str, Any]:
    """Quarantined rows as they came, with every reason; the first `limit` of them."""
    storage, manifest = _open(file, ds)
    rows: list[dict[str, Any]] = []
    for local in fetch_table(storage, manifest, "quarantine"):
        rows += pq.ParquetFile(local).read().to_pylist()
    chosen = [r for r in rows if rule is None or rule in [x["rule"] for x in r["reasons"]]]
    return {"ds": ds, "rows": len(chosen), "quarantine": chosen[:limit]}


def _open(file: Path, ds: str) -> Any:
    config = absolute(load_config(file))
    storage = open_storage(config.store, config.endpoint_url)
    manifest = read_judged(storage, check_ds(ds))
    if manifest is None:
        raise WrongUse(f"ds={ds} was never judged in {config.store}; run that day first")
    return storage, manifest


def words(told: dict[str, Any]) -> str:
    """The same for a person, a line a file or row."""
    if "quarantine" in told:
        lines = []
        for row in told["quarantine"]:
            reasons = "; ".join(f"{r['rule']}: {r['message']}" for r in row["reasons"])
            lines.append(f"{row['source_file']} row {row['row']}: {reasons}\n    {row['raw']}")
        return "\n".join([f"{told['rows']} rows in quarantine of ds={told['ds']}", *lines])
    head = (
        f"ds={told['ds']}: {told['verdict']} (attempt {told['attempt']}, rules {told['rule_set']})"
    )
    lines = [head, *(f"  - {reason}" for reason in told["reasons"])]
    lines.append(f"{'read':>10} {'kept':>10} {'duplicate':>10} {'quarantined':>12}  file")
    for row in told["accounting"]:
        lines.append(
            f"{row['read']:>10,} {row['kept']:>10,} {row['duplicate']:>10,} "
            f"{row['quarantined']:>12,}  {row['file']}"
        )
    return "\n".join(lines)
