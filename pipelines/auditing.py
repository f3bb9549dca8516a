"""`genco audit`: what the ledger tells; it needs the store, and no registry."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.adapters.ledger import Ledger
from components.adapters.storage import open_storage
from components.doctor.serving import backwards, serving_at
from components.errors import WrongUse
from pipelines.config import load_config
from pipelines.running import absolute


def entries_of(file: Path) -> list[dict[str, Any]]:
    """Every entry, chain and head verified."""
    config = absolute(load_config(file))
    return Ledger(open_storage(config.store, config.endpoint_url), config.name).entries()


def whole(entries: list[dict[str, Any]]) -> str:
    """What `audit verify` says of a ledger that verified."""
    numbers = ", ".join(map(str, backwards(entries)))
    clock = f"; the clock went backwards before entries {numbers}" if numbers else ""
    return f"{len(entries)} entries, chain whole{clock}"


def who(entries: list[dict[str, Any]], at: str | None) -> dict[str, Any]:
    """{at, version, entry, sentence}; version None where no version served yet."""
    try:
        time = datetime.fromisoformat(at or "")
    except ValueError as error:
        raise WrongUse(f"--at is {at!r}; expected a time such as 2026-11-22T09:30:00") from error
    time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    found = serving_at(entries, time)
    if found is None:
        said = f"at {time.isoformat()} no version was champion yet; the log's own policy served"
        return {"at": time.isoformat(), "version": None, "entry": None, "sentence": said}
    said = (
        f"at {time.isoformat()} version {found['version']} served: {found['kind']} by "
        f"{found.get('by')} at {found['at']} (ledger entry {found['number']})"
    )
    return {
        "at": time.isoformat(),
        "version": found["version"],
        "entry": found["number"],
        "sentence": said,
    }
