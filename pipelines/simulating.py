"""`genco simulate`: days of the example shop, for a first run and for tests."""

from datetime import date, timedelta
from pathlib import Path
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
