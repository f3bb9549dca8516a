"""Every row of every file of a day accounted for: read = kept + duplicate + quarantined."""

from typing import TYPE_CHECKING, Any

from components.sql import quote
from validation.contract import Rule
from validation.quarantine import DayFacts

if TYPE_CHECKING:
    import duckdb

_USED = """
    SELECT file, count(*) FILTER (NOT unfit), count(*) FILTER (unfit) FROM (
        SELECT source_file AS file, unfit FROM raw_bags
        UNION ALL SELECT file, unfit FROM events
        UNION ALL SELECT file, true FROM rejected)
    GROUP BY file
"""

# Clicks and conversions that came in a later partition than their display's.
_LATE = "SELECT file, count(*) FROM events WHERE dt > bag_dt GROUP BY file"


def account(
    database: "duckdb.DuckDBPyConnection", accounts: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The manifest's accounting: a row a file, whose numbers add up or it is a bug."""
    used = {file: (kept, unfit) for file, kept, unfit in database.execute(_USED).fetchall()}
    late = dict(database.execute(_LATE).fetchall())
    rows = []
    for entry in accounts:
        kept, unfit = used.get(entry["file"], (0, 0))
        assert entry["read"] == kept + unfit + entry["duplicate"], (entry, kept, unfit)
        numbers = {"kept": kept, "duplicate": entry["duplicate"], "quarantined": unfit}
        rest = {k: v for k, v in entry.items() if k not in ("kind", "duplicate")}
        if entry["file"] in late:
            rest["late"] = late[entry["file"]]
        rows.append({**rest, **numbers})
    return rows


def day_facts(
    database: "duckdb.DuckDBPyConnection",
    ds: str,
    accounts: list[dict[str, Any]],
    rules: tuple[Rule, ...],
    blameless: list[str],
) -> DayFacts:
    """Counts of the day; rows set aside by `blameless` rules alone are no fault of the data."""
    listed = ", ".join(quote(rule) for rule in blameless) or "''"
    blamed = f"len(list_filter(reasons, r -> r.rule NOT IN ({listed}))) > 0"
    count = (
        "SELECT r.rule, count(*) FROM (SELECT unnest(reasons) AS r FROM quarantine WHERE {}) "
        "GROUP BY ALL ORDER BY ALL"
    )
    first = database.execute(
        "SELECT r.rule, arg_min({'file': source_file, 'row': row, 'message': r.message}, "
        "(source_file, row)) FROM (SELECT source_file, row, unnest(reasons) AS r "
        f"FROM quarantine WHERE {blamed}) GROUP BY ALL"
    ).fetchall()
    fit = database.execute("SELECT count(*) FROM bags").fetchone()
    refused = database.execute(f"SELECT count(*) FROM quarantine WHERE {blamed}").fetchone()
    return DayFacts(
        ds=ds,
        read=sum(entry["read"] for entry in accounts),
        fit=fit[0] if fit else 0,
        refused_rows=refused[0] if refused else 0,
        refused=dict(database.execute(count.format(blamed)).fetchall()),
        set_aside=dict(database.execute(count.format(f"NOT ({blamed})")).fetchall()),
        unreadable=tuple(
            [entry["unreadable"] for entry in accounts if "unreadable" in entry]
            + _without_an_object(database, accounts)
        ),
        duplicate=sum(entry["duplicate"] for entry in accounts),
        examples=dict(first),
        warned=_warned(database, rules),
        displays=sum(a["read"] for a in accounts if a["kind"] in ("impressions", "aggregates")),
    )


def _without_an_object(
    database: "duckdb.DuckDBPyConnection", accounts: list[dict[str, Any]]
) -> list[str]:
    """A sentence for each file of lines of which none is a JSON object: it is something else."""
    found = dict(
        database.execute(
            "SELECT source_file, count(*) FROM quarantine "
            "WHERE list_contains(list_transform(reasons, r -> r.rule), 'json') GROUP BY ALL"
        ).fetchall()
    )
    return [
        f"{entry['file']} has {entry['read']:,} lines and none is a JSON object; expected JSON Lines, "
        "an object a line: write the file again and run the day again"
        for entry in accounts
        if 0 < entry["read"] == found.get(entry["file"])
    ]


def _warned(database: "duckdb.DuckDBPyConnection", rules: tuple[Rule, ...]) -> dict[str, int]:
    """Fit bags that break each rule of severity warn, of those that any breaks."""
    warn = [rule for rule in rules if rule.severity == "warn"]
    counts = ", ".join(f"count(*) FILTER ({rule.violated()})" for rule in warn) or "0"
    found = database.execute(f"SELECT {counts} FROM raw_bags WHERE NOT unfit").fetchone() or ()
    return {rule.id: count for rule, count in zip(warn, found, strict=False) if count}


def hours_of(database: "duckdb.DuckDBPyConnection") -> list[int]:
    """Displays that were fit, by hour of the day (UTC), 24 of them."""
    counted = dict(
        database.execute(
            "SELECT hour(shown_at), sum(impressions)::BIGINT FROM bags GROUP BY ALL"
        ).fetchall()
    )
    return [counted.get(hour, 0) for hour in range(24)]


def losses(database: "duckdb.DuckDBPyConnection") -> list[dict[str, Any]]:
    """Products by the share of their displays that the quarantine took, worst first (bias)."""
    rows = database.execute(
        "SELECT product_id, count(*), count(*) FILTER (unfit) FROM raw_bags GROUP BY product_id "
        "ORDER BY count(*) FILTER (unfit) / count(*) DESC, product_id LIMIT 10"
    ).fetchall()
    return [
        {"product_id": product, "rows": total, "lost": lost, "share": lost / total}
        for product, total, lost in rows
        if lost
    ]
