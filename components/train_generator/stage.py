"""Training set and reward model -> the generator, cloned from the log, then trained by RL.

Leaves a draft bundle: everything that serves, not yet sealed with evidence.
"""

import sys

import numpy as np
import pyarrow.parquet as pq

from components.checkpoints import Kept, checkpoint_of
from components.day import Day, Frozen
from components.devices import watched
from components.errors import Refused
from components.together import trained
from components.train_reward.stage import Result as RewardResult
from components.train_reward.stage import load_reward
from components.training_set import BEFORE, TrainingSet, read_training_set, upload_folder
from components.window import catalog_file, read_window
from model.bags import Bags
from model.bundle import save_draft
from model.combinations import Rules
from model.generator.fit import GeneratorConfig, fit_generator
from model.generator.policy import Generator
from model.processes import Processes
from model.reward.fit import Reward

NAME = "train_generator"
ABSENT_SHARE = 0.01  # of a slot's displays: from here on the log shows that it may stay empty


class Settings(Frozen):
    """The shape of a bag, the published mixture, overrides of the generator's defaults, how many
    processes learn, and where their checkpoint lies."""

    name: str
    slots: tuple[str, ...]
    context: dict[str, str]
    feature_names: list[str]
    optional_slots: tuple[str, ...] | None
    target: str
    explore: float
    uniform: float
    sampled: float
    deviation: float
    temperature: float
    candidates: int
    seed: int
    device: str
    options: dict[str, float | int | str | bool]
    processes: int = 1
    checkpoints: Kept = "work"


class Result(Frozen):
    """What training reported, and the folder of the draft bundle below the store."""

    metrics: dict[str, float]
    draft: str
    optional_slots: list[str]
    device: str


def run(day: Day, settings: Settings) -> Result:
    """A draft bundle lies under the stage's folder."""
    return trained(day, NAME, settings, Result, lambda *here: _work(day, settings, *here))


def _work(day: Day, settings: Settings, device: str, processes: Processes) -> Result:
    rows = read_training_set(day, settings.slots, settings.context, settings.feature_names)
    reward = load_reward(day)
    rules = _rules(day, settings, rows)
    checkpoint = checkpoint_of(day, NAME, settings.checkpoints, processes.rank == 0)
    try:
        generator, metrics = fit_generator(
            rows.train,
            rows.elements,
            rules,
            reward,
            settings.context,
            GeneratorConfig(**settings.options),  # type: ignore[arg-type]
            seed=settings.seed,
            device=device,
            checkpoint=checkpoint.file,
            progress=watched("generator") if processes.rank == 0 else None,
            processes=processes,
            saved=checkpoint.saved,
        )
    except ValueError as error:
        raise Refused(f"the generator cannot be trained: {error}") from error
    if processes.rank == 0:
        _leave(day, settings, rows, reward, generator, rules)
        checkpoint.over()
    if metrics["resumed_at"] and processes.rank == 0:
        print(f"{NAME} went on from step {metrics['resumed_at']:.0f}", file=sys.stderr)
    told = {k: v for k, v in metrics.items() if k != "resumed_at"}  # a kill leaves no trace
    numbers = {k: float(v) for k, v in told.items() if isinstance(v, int | float)}
    return Result(
        metrics=numbers,
        draft=day.path(NAME, "bundle"),
        optional_slots=sorted(rules.optional),
        device=device,
    )


def _leave(
    day: Day,
    settings: Settings,
    rows: TrainingSet,
    reward: Reward,
    generator: Generator,
    rules: Rules,
) -> None:
    table, described = rows.table.drop_columns([BEFORE]), _described(day, settings, rules)
    with day.scratch("draft") as folder:
        save_draft(folder, reward, generator, table, rules, described)
        upload_folder(day, folder, day.path(NAME, "bundle"))


def _described(day: Day, settings: Settings, rules: Rules) -> dict[str, object]:
    """The bundle's config beside the models' own parts."""
    from components.materialize_features.stage import NAME as FEATURES
    from components.materialize_features.stage import Result as Features
    from components.train_reward.stage import NAME as REWARD

    storage = day.storage()
    features = Features.model_validate_json(storage.read(day.path(FEATURES, "result.json")))
    trained = RewardResult.model_validate_json(storage.read(day.path(REWARD, "result.json")))
    return {
        "name": settings.name,
        "ds": day.ds,
        "slots": list(settings.slots),
        "context": settings.context,
        "target": settings.target,
        "optional_slots": sorted(rules.optional),
        "feature_service": {
            "name": "reward_features",
            "fingerprint": features.fingerprint,
            "names": features.feature_names,
        },
        "text_encoder": features.text,
        "mixture": {
            "explore": settings.explore,
            "uniform": settings.uniform,
            "sampled": settings.sampled,
            "deviation": settings.deviation,
            "temperature": settings.temperature * max(trained.base_reward, 1e-6),
            "candidates": settings.candidates,
        },
        "seed": settings.seed,
    }


def _rules(day: Day, settings: Settings, rows: TrainingSet) -> Rules:
    """The catalog's rules; optional slots as configured, else as the log shows them."""
    window = read_window(day)
    tables = []
    for table in ("combinations", "forbidden"):
        file = catalog_file(day, window, table)
        tables.append(pq.ParquetFile(file).read() if file is not None else None)
    optional = settings.optional_slots
    if optional is None:
        optional = observed_optional(rows.train, rows, settings.slots)
    return Rules.from_tables(tables[0], tables[1], frozenset(optional))


def observed_optional(bags: Bags, rows: TrainingSet, slots: tuple[str, ...]) -> tuple[str, ...]:
    """Slots left empty in at least a hundredth of the displays of products that could fill them."""
    optional = []
    for place, slot in enumerate(slots):
        owners = set(rows.elements.product_id[rows.elements.slot == place])
        could = np.isin(bags.product_id, list(owners))
        shown = bags.impressions[could].sum()
        empty = bags.impressions[could & (bags.element[:, place] < 0)].sum()
        if shown and empty / shown >= ABSENT_SHARE:
            optional.append(slot)
    return tuple(optional)
