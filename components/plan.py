"""What a face gets of the plan: its stage's settings, and the day's place."""

import json
import re
from datetime import date, timedelta
from typing import TypeVar

from pydantic import BaseModel

from components.day import Day
from components.errors import WrongUse

S = TypeVar("S", bound=BaseModel)


def settings_of(plan: str, stage: str, kind: type[S]) -> S:
    """The stage's settings out of the plan's JSON."""
    return kind.model_validate_json(json.dumps(json.loads(plan)[stage]))


def day_of(plan: str, ds: str) -> Day:
    """The day's place, before ingest named its attempt."""
    return Day(ds=expand_ds(ds), **json.loads(plan)["place"])


def expand_ds(ds: str) -> str:
    """The day; "DAY minus N", as a recurring run says it, is N days before DAY."""
    day, _, back = ds.partition(" minus ")
    if not back:
        return check_ds(ds)
    if not back.isdigit():
        raise WrongUse(f"ds is {ds!r}; expected a day, or a day minus a number of days")
    return (date.fromisoformat(check_ds(day)) - timedelta(days=int(back))).isoformat()


def check_ds(ds: str) -> str:
    """The day itself, or WrongUse: an unexpanded macro, another form, a day that is none."""
    if "[[" in ds or "{{" in ds:
        raise WrongUse(
            f"ds is {ds!r}, a macro that the scheduler did not expand; expected a day such as "
            "2026-11-22: recurring runs need a KFP backend of 2.16 or newer, or pass --ds"
        )
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", ds):
        raise WrongUse(f"ds is {ds!r}; expected a day as YYYY-MM-DD, such as 2026-11-22")
    try:
        date.fromisoformat(ds)
    except ValueError as error:
        raise WrongUse(f"ds is {ds!r}, which is no day of the calendar ({error})") from error
    return ds
