"""`python -m examples.storefront`: days of the simulated shop below a folder."""

import argparse
import json
from datetime import date, timedelta
from pathlib import Path

from examples.storefront.shop import Shop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--ds-last", default="2026-11-22")
    parser.add_argument("--impressions", type=int, default=200_000, help="over all days")
    parser.add_argument("--products", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clean", action="store_true", help="without the dirt of real logs")
    asked = parser.parse_args()
    first = date.fromisoformat(asked.ds_last) - timedelta(days=asked.days - 1)
    shop = Shop.create(asked.seed, asked.products)
    written = shop.write_days(
        asked.out, first.isoformat(), asked.days, asked.impressions // asked.days, not asked.clean
    )
    print(f"{asked.days} days of the shop up to {asked.ds_last} are in {asked.out}:")
    print(json.dumps(written))


if __name__ == "__main__":
    main()
