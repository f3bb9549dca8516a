"""A batch of requests -> answers, each refused with a sentence or drawn and logged."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from components.errors import GencoError
from pipelines.serving.bodies import Answer, Ask
from pipelines.serving.champion import Serving
from pipelines.serving.impressions import ImpressionLog

NO_VERSION, UNKNOWN, NOTHING_LEGAL, WRONG, BROKEN = 503, 404, 409, 422, 500


@dataclass(frozen=True)
class Refusal:
    """Why a request gets no combination, with the status that says so."""

    status: int
    sentence: str


class Answering:
    """Draws and logs; for one thread at a time."""

    def __init__(
        self, log: ImpressionLog, rng: np.random.Generator, clock: Callable[[], datetime]
    ) -> None:
        self._log, self._rng, self._clock = log, rng, clock

    def answer(self, serving: Serving, asks: Sequence[Ask]) -> list[Answer | Refusal]:
        """An answer or a refusal for each request, in their order."""
        found: dict[int, Answer | Refusal] = {}
        for place, ask in enumerate(asks):
            refused = refusal_of(serving, ask)
            if refused is not None:
                found[place] = refused
        good = [place for place in range(len(asks)) if place not in found]
        if good:
            drawn = self._drawn(serving, [asks[place] for place in good])
            found |= dict(zip(good, drawn, strict=True))
        return [found[place] for place in range(len(asks))]

    def _drawn(self, serving: Serving, asks: list[Ask]) -> list[Answer | Refusal]:
        """Drawn together; where one of them breaks the batch, one by one."""
        try:
            shown, chance = serving.policy.choose_many(
                [ask.product_id for ask in asks], [ask.context for ask in asks], self._rng
            )
        except ValueError as error:
            if len(asks) == 1:
                return [Refusal(BROKEN, str(error))]
            return [one for ask in asks for one in self._drawn(serving, [ask])]
        answers = [
            Answer(
                combination=combination,
                propensity=propensity,
                version=serving.name,
                impression_id=ask.impression_id or uuid.uuid4().hex,
            )
            for ask, combination, propensity in zip(asks, shown, chance.tolist(), strict=True)
        ]
        return self._logged(serving, asks, answers)

    def _logged(
        self, serving: Serving, asks: list[Ask], answers: list[Answer]
    ) -> list[Answer | Refusal]:
        kinds = serving.policy.context
        rows = [_impression(ask, one, kinds) for ask, one in zip(asks, answers, strict=True)]
        try:
            self._log.write(rows, self._clock())
        except GencoError as error:
            return [Refusal(BROKEN, str(error))] * len(asks)
        return list(answers)

    def tick(self) -> None:
        """Closes a log file that is old enough."""
        self._log.tick(self._clock())

    def close(self) -> None:
        """The last log file is complete."""
        self._log.close()


def refusal_of(serving: Serving, ask: Ask) -> Refusal | None:
    """Why this request can't be answered, None where it can."""
    policy = serving.policy
    for name, kind in policy.context.items():
        value = ask.context.get(name)
        if value is not None and isinstance(value, str) != (kind == "categorical"):
            expected = "text" if kind == "categorical" else "a number"
            said = f"context.{name} is {value!r}, expected {expected} (config key context)"
            return Refusal(WRONG, said)
        if isinstance(value, bool):
            return Refusal(WRONG, f"context.{name} is {value!r}, expected a number")
    try:
        policy.count(ask.product_id)
    except ValueError as error:
        return _unavailable(serving, ask.product_id, str(error))
    return None


def _unavailable(serving: Serving, product_id: str, why: str) -> Refusal:
    if any(len(rows) for rows in serving.policy.elements.rows_of(product_id)):
        return Refusal(NOTHING_LEGAL, why)
    said = (
        f"product {product_id!r} has no element in the catalog of ds={serving.source.ds}; ask for "
        "one that is there, or wait for the day that adds it"
    )
    return Refusal(UNKNOWN, said)


def _impression(ask: Ask, answer: Answer, kinds: Mapping[str, str]) -> dict[str, Any]:
    """The row of CONTRACT 1, but for when it was shown; the configured context only."""
    return {
        "impression_id": answer.impression_id,
        "product_id": ask.product_id,
        "user_id": ask.user_id,
        "context": {n: ask.context[n] for n in kinds if ask.context.get(n) is not None},
        "creative": answer.combination,
        "propensity": answer.propensity,
        "policy": answer.version,
    }
