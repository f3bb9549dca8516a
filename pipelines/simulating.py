"""`genco simulate`: days of the example shop, and the closed loop in it (`simulate loop`)."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any


def write_shop(out: Path, days: int, ds: str, impressions: int, seed: int) -> dict[str, Any]:
    """Logs and catalog of the days that end with ds; returns what was written."""
    from components.plan import check_ds
    from examples.storefront.shop import Shop

    first = date.fromisoformat(check_ds(ds)) - timedelta(days=days - 1)
    shop = Shop.create(seed)
    written = shop.write_days(out, first.isoformat(), days, impressions // days)
    return {"out": str(out), "ds": ds, "days": days, "written": written}


def words(told: dict[str, Any]) -> str:
    return f"{told['days']} days up to {told['ds']} of the shop are in {told['out']}"


def loop(
    out: Path | None,
    days: int,
    seeds: range,
    products: int,
    displays: int,
    said: Callable[[str], None],
) -> dict[str, Any]:
    """What policies that learn from their own displays lose against the best possible.

    With `out`, the days, the facts and a plot are written there.
    """
    from examples.loop import told
    from examples.loop.match import matches_of
    from examples.loop.plot import plot

    matches = matches_of(seeds, products, days, displays, perf_counter, said)
    found = told.facts(matches)
    if out is not None:
        told.write_matches(out / "matches.json", matches)
        (out / "loop.json").write_text(json.dumps(found, indent=1) + "\n")
        (out / "loop.svg").write_text(plot(matches))
    return found


def loop_words(found: dict[str, Any]) -> str:
    """The facts as a table."""
    from examples.loop.told import table

    return table(found)
