"""What ingest_logs refused ends the day without a failed pod (ADR 25).

Kubeflow repeats a pod that fails, whatever its cause: its launcher ends with exit code 1 whatever
ours was, and its graph knows no condition on a retry. So the pod of ingest_logs ends well, with a
day that names no attempt, and validate_logs calls such a day unfit.
"""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from components.artifacts import show
from components.day import Day
from components.errors import Conflict, Refused
from components.step import FIRST, S, Word, read_word, step


def arrived(place: Day, plan: str, kind: type[S], run: Callable[..., Any]) -> Day:
    """The day at its attempt; without one where a rule refused it, with the word in the store."""
    try:
        return step(FIRST, place, plan, kind, run).day
    except Conflict:
        raise
    except Refused as error:
        print(f"genco: {error}", flush=True)
        return place


def fit(stage: str, day: Day, plan: str, kind: type[S], run: Callable[..., Any], page: Any) -> bool:
    """Whether the day is fit to learn from; `page` shows the data page, or why there is none."""
    if not day.attempt:
        Path(page.path).write_text(_page(read_word(day)))
        return False
    result = step(stage, day, plan, kind, run)
    show(day, result.data_page, page)
    return result.fit


def _page(word: Word | None) -> str:
    said = "ingest_logs refused the day; its log says why" if word is None else word.said
    return f"<!doctype html><meta charset='utf-8'><title>Blocked</title><p>{escape(said)}</p>\n"
