"""The data page's view of a made day: blocked, with one of everything that can go wrong, or fit."""

from typing import Any

from validation.contract import BAG_RULES, fingerprint

DS = "2026-03-10"
NASTY = '</pre><script>alert("x")</script>&<b>'
RAW = (
    '{"impression_id": "b0", "shown_at": "2026-03-10T10:00:00Z", "product_id": "p0", '
    '"context": {"propensity": 3}, "creative": {"title": "zz", "image": "m0"}, "propensity": 1.5}'
)


def sample(raw: str = RAW, message: str = "found 1.5", row: int = 1) -> dict[str, Any]:
    file = f"impressions/dt={DS}/bad.jsonl.gz"
    return {"file": file, "row": row, "message": message, "raw": raw, "length": len(raw)}


def check(rule: Any, unexpected: int = 0, success: bool = True) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "says": rule.says,
        "expectation": "expect_column_values_to_be_between",
        "severity": rule.severity,
        "rows": 4_321,
        "unexpected": unexpected,
        "success": success,
    }


def blocked_day(**fields: Any) -> dict[str, Any]:
    """5,000 rows read: 4,100 kept, 500 duplicate, 400 set aside, of which 390 count."""
    whole = {
        "ds": DS,
        "verdict": "BLOCKED",
        "reasons": ["390 of 5,000 rows are unfit (7.8%, limit 5.0%)", "part-9.parquet is cut off"],
        "attempt": "a1b2c3",
        "rule_set": fingerprint(BAG_RULES),
        "read": 5_000,
        "fit": 3_987,
        "unfit": 400,
        "blamed": 390,
        "limit": 0.05,
        "refused": {"propensity": 380, "json": 10},
        "set_aside": {"traffic": 10},
        "files": _files(),
        "hours": [
            {"hour": hour, "impressions": 100 + hour, "clicks": 3, "unfit": 300 * (hour == 14)}
            for hour in range(24)
            if hour != 5
        ],
        "checks": [_failed(rule) for rule in BAG_RULES],
        "quarantine": [
            {"rule": "propensity", "rows": 380, "samples": [sample(row=k) for k in range(1, 6)]},
            {"rule": "json", "rows": 10, "samples": [sample(NASTY, "the line is not JSON")]},
            {"rule": "traffic", "rows": 10, "samples": [sample()]},
        ],
        "quarantine_path": f"days/ds={DS}/attempt=a1b2c3/validate_logs/quarantine.parquet",
        "losses": [{"product_id": NASTY, "rows": 40, "lost": 30, "share": 0.75}],
        "policies": [
            {"policy": "log-1", "impressions": 3_987, "clicks": 69, "conversions": 4, "value": 81.5}
        ],
        "propensity": {"unknown": 41, "lowest": 0.0125, "median": 0.25, "highest": 0.875},
        "lags": {"clicks": lag(1.0), "conversions": lag(168.0)},
        "maturity": {"clicks": 0.9625, "conversions": 0.125},
        "calendar": _calendar(),
        "missing": ["2026-03-04", "2026-03-05", "2026-03-07"],
        "stands": None,
    }
    return whole | fields


def fit_day(**fields: Any) -> dict[str, Any]:
    """A day of which nothing can be complained."""
    clean = {
        "verdict": "FIT",
        "reasons": [],
        "unfit": 0,
        "blamed": 0,
        "refused": {},
        "set_aside": {},
        "files": _files()[:1],
        "checks": [check(rule) for rule in BAG_RULES],
        "quarantine": [],
        "losses": [],
        "propensity": {"unknown": 0, "lowest": 0.0125, "median": 0.25, "highest": 0.875},
        "calendar": [calendar_day(DS, "FIT", 3_987, 0)],
        "missing": [],
    }
    return blocked_day(**(clean | fields))


def empty_day(**fields: Any) -> dict[str, Any]:
    """A day whose only file holds nothing."""
    nothing = {
        "reasons": [f"ds={DS} has 0 fit bags of 0 rows read"],
        "read": 0,
        "fit": 0,
        "unfit": 0,
        "blamed": 0,
        "refused": {},
        "set_aside": {},
        "files": [],
        "hours": [],
        "checks": [],
        "quarantine": [],
        "losses": [],
        "policies": [],
        "propensity": {"unknown": 0, "lowest": None, "median": None, "highest": None},
        "lags": {},
        "maturity": {"clicks": 0.0, "conversions": 0.0},
        "calendar": [],
        "missing": [],
    }
    return blocked_day(**(nothing | fields))


def _files() -> list[dict[str, Any]]:
    place = f"impressions/dt={DS}"
    numbers = {"read": 4_500, "kept": 4_100, "duplicate": 0, "quarantined": 400}
    copied = {"read": 500, "kept": 0, "duplicate": 500, "quarantined": 0}
    nothing = dict.fromkeys(numbers, 0)
    return [
        {"file": f"{place}/part-0.parquet", "sha256": "aa", **numbers},
        {"file": f"{place}/part-1.parquet", "sha256": "aa", **copied}
        | {"copy_of": f"{place}/part-0.parquet"},
        {"file": f"{place}/part-9.parquet", "sha256": "bb", **nothing}
        | {"unreadable": "part-9.parquet is cut off"},
        {"file": f"clicks/dt={DS}/part-0.jsonl", "sha256": "cc", **nothing},
    ]


def _failed(rule: Any) -> dict[str, Any]:
    if rule.id == "propensity":
        return check(rule, 380, success=False)
    if rule.id == "context":
        return check(rule, 7, success=False)
    return check(rule, 7) if rule.id == "traffic" else check(rule)


def lag(window: float, events: int = 69) -> dict[str, Any]:
    """A curve of four points: half within a quarter of the window, all within it."""
    points = [{"hours": window * k / 4, "share": s} for k, s in enumerate((0.5, 0.9, 0.99, 1.0), 1)]
    return {"window_hours": window, "events": events, "complete": 0.75, "points": points}


def calendar_day(ds: str, verdict: str, fit: int, unfit: int, **fields: Any) -> dict[str, Any]:
    known = {"failed": None, "hours": None, "alerts": None, "data": None, "expectations": None}
    return {"ds": ds, "verdict": verdict, "fit": fit, "unfit": unfit} | known | fields


def _calendar() -> list[dict[str, Any]]:
    verdicts = {3: "FIT", 6: "BLOCKED", 8: "FIT", 9: "FIT", 10: "BLOCKED"}
    return [
        calendar_day(
            f"2026-03-{day:02d}",
            verdicts.get(day, "MISSING"),
            3_900 + day if day in verdicts else 0,
            day if day in verdicts else 0,
        )
        for day in range(3, 11)
    ]
