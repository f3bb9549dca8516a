"""One stage alone, as a TrainJob's or a SparkApplication's command: what to do, from the environment.

`torchrun -m pipelines.one_stage train_reward` with GENCO_PLAN (the plan's JSON or its file),
GENCO_DS and GENCO_ATTEMPT, as ingest_logs named it. The stage finds and leaves its files in the
store, as it does in the graph; of several processes, on any number of nodes, each learns its part.
It is spark-submit's main file too (deploy/spark), for `materialize_features`, and for `ingest_logs`,
which names the attempt itself.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.errors import GencoError, WrongUse
from components.plan import day_of, settings_of

TRAINING = ("train_reward", "train_generator")
ALONE = ("ingest_logs", "materialize_features", *TRAINING)


def run(stage: str, surroundings: Mapping[str, str]) -> str:
    """The stage's result as JSON; WrongUse where something is missing or asks for what is not there."""
    if stage not in ALONE:
        raise WrongUse(f"{stage!r} does not run alone; expected one of {', '.join(ALONE)}")
    needed = ("GENCO_PLAN", "GENCO_DS", "GENCO_ATTEMPT")[: 2 if stage == "ingest_logs" else 3]
    missing = [name for name in needed if not surroundings.get(name)]
    if missing:
        raise WrongUse(f"{', '.join(missing)} not set; the manifest's env must give them")
    from components.ingest_logs import stage as ingest_logs
    from components.materialize_features import stage as materialize_features
    from components.train_generator import stage as train_generator
    from components.train_reward import stage as train_reward

    given = surroundings["GENCO_PLAN"]
    plan = given if given.lstrip().startswith("{") else Path(given).read_text()
    day = day_of(plan, surroundings["GENCO_DS"])
    if stage == ingest_logs.NAME:
        settings = settings_of(plan, stage, ingest_logs.Settings)
        return ingest_logs.run(day, settings).model_dump_json()
    day = day.model_copy(update={"attempt": surroundings["GENCO_ATTEMPT"]})
    others: dict[str, Any] = {
        one.NAME: one for one in (materialize_features, train_reward, train_generator)
    }
    chosen = others[stage]
    return chosen.run(day, settings_of(plan, stage, chosen.Settings)).model_dump_json()


def main(arguments: Sequence[str]) -> int:
    """Prints the result; an expected failure is one sentence and its exit code."""
    try:
        told = run(arguments[0] if arguments else "", os.environ)
        if os.environ.get("RANK", "0") == "0":
            print(told)
    except GencoError as error:
        print(f"genco: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
