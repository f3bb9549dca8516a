"""The real stages over the benchmark's logs: ingest, then row rules, quarantine and accounts.

`python -m benchmarks.data.ours ROOT MEMORY [ENGINE]` prints the seconds of each and the day's accounts.
"""

import json
import sys
import time
from pathlib import Path
from typing import Literal

from benchmarks.data.ad_logs import CONTEXT, DS, SLOTS
from components.day import Day, attempt_path
from components.ingest_logs.stage import Settings, run
from components.sql import open_database
from components.validate_logs.accounting import account
from components.validate_logs.splitting import publish_split, split_day
from validation.contract import bag_rules


def main(root: Path, memory: str, engine: Literal["duckdb", "spark"] = "duckdb") -> None:
    settings = Settings(
        logs=str(root / "logs"),
        catalog=str(root / "catalog"),
        slots=SLOTS,
        context=CONTEXT,
        window_days=1,
        click_hours=1,
        conversion_days=7,
        late_days=1,
        user_limit=200,
        engine=engine,
        memory=memory,
        identity={},
    )
    day = Day(ds=DS, store=str(root / "store"), work=str(root / "work"))
    began = time.perf_counter()
    result = run(day, settings)
    ingested = time.perf_counter()
    attempt = result.made[DS]
    place = f"{attempt_path(DS, attempt)}/ingest_logs/accounting.json"
    accounts = json.loads(day.storage().read(place))
    with day.scratch("quarantine") as folder, open_database(folder, memory) as database:
        split_day(database, day, DS, attempt, bag_rules(settings.user_limit))
        entries = account(database, accounts)
        tables = publish_split(database, day, DS, attempt, "split", folder)
    told = {"ingest": ingested - began, "rules and quarantine": time.perf_counter() - ingested}
    numbers = ("read", "kept", "duplicate", "quarantined")
    told |= {number: sum(entry[number] for entry in entries) for number in numbers}
    told |= {table: sum(one["rows"] for one in tables[table]) for table in ("bags", "quarantine")}
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], *sys.argv[3:])  # type: ignore[arg-type]
