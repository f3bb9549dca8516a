"""What was judged of the days before ds, as far back as the data page looks."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from components.adapters.storage import Storage
from components.ingest_logs.inputs import days_before
from components.manifests import read_judged

DAYS = 90  # with ds
READERS = 8
_PREFIX = "manifests/judged/ds="


def history(storage: Storage, ds: str) -> list[dict[str, Any]]:
    """One entry a day of the last 90 up to the one before ds, oldest first.

    {ds, verdict, fit, unfit, failed, hours, alerts, data, expectations}: MISSING for a day that
    was never judged; failed and hours are None where an older version judged it, alerts where no
    run was of that day; data and expectations are its pages below the store, None where it has
    none.
    """
    known = {one.path for one in storage.listing("manifests/judged")}
    days = days_before(ds, DAYS)[:-1]
    there = [dt for dt in days if f"{_PREFIX}{dt}.json" in known]
    with ThreadPoolExecutor(READERS) as readers:
        judged = dict(
            zip(there, readers.map(lambda dt: read_judged(storage, dt), there), strict=True)
        )
    return [day_entry(dt, judged.get(dt)) for dt in days]


def day_entry(dt: str, manifest: dict[str, Any] | None) -> dict[str, Any]:
    """A day of the page's calendar, off its manifest."""
    judged = manifest or {}
    tables, told = judged.get("tables", {}), judged.get("told", {})
    pages = told.get("pages", {}) | judged.get("pages", {})
    return {
        "ds": dt,
        "verdict": judged.get("verdict", "MISSING"),
        "fit": sum(entry["rows"] for entry in tables.get("bags", [])),
        "unfit": sum(entry["rows"] for entry in tables.get("quarantine", [])),
        "failed": judged.get("failed"),
        "hours": judged.get("hours"),
        "alerts": told.get("alerts"),
        "data": pages.get("data"),
        "expectations": pages.get("expectations"),
    }
