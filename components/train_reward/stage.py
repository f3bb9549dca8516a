"""Training set -> the multi-instance reward model, calibrated on rows it did not learn from."""

import json
import zlib

import numpy as np

from components.checkpoints import Checkpoint, Kept, checkpoint_of
from components.day import Day, Frozen, to_json
from components.devices import watched
from components.errors import Refused
from components.start import read_start, start_reward
from components.together import trained
from components.training_set import TrainingSet, read_training_set
from model.bags import Bags
from model.processes import ALONE, Processes
from model.reward.fit import Reward, RewardConfig, fit_reward

NAME = "train_reward"
TUNING_TENTHS = 1  # of ten parts, how many tune (early stopping, calibration)


class Settings(Frozen):
    """The shape of a bag, what a display earns, overrides of the model's defaults, how many
    processes learn, and where their checkpoint lies."""

    slots: tuple[str, ...]
    context: dict[str, str]
    feature_names: list[str]
    target: str
    by_product: bool
    seed: int
    device: str
    options: dict[str, float | int | str | bool]
    processes: int = 1
    checkpoints: Kept = "work"


class Result(Frozen):
    """Rows learned from and tuned on, the base rate, the device used, and what it began from."""

    train: int
    tuned: int
    clicks: int
    base_reward: float
    device: str
    start: str = "nothing"


def run(day: Day, settings: Settings) -> Result:
    """reward.safetensors and reward.json lie under the stage's folder."""
    return trained(day, NAME, settings, Result, lambda *here: _work(day, settings, *here))


def _work(day: Day, settings: Settings, device: str, processes: Processes) -> Result:
    rows = read_training_set(day, settings.slots, settings.context, settings.feature_names)
    train = rows.train
    if len(train) == 0:
        raise Refused(
            f"no bags are left to learn from for ds={day.ds}: all {len(rows.bags):,} are held out; "
            "lengthen window_days or shorten holdout"
        )
    tuning = tuning_rows(train, settings.by_product)
    start, begun = _start(day, rows, settings)
    checkpoint = checkpoint_of(day, NAME, settings.checkpoints, processes.rank == 0)
    reward = fit(rows, train, tuning, settings, device, checkpoint, processes, start)
    if processes.rank == 0:
        _leave(day, reward)
        checkpoint.over()
    return Result(
        train=int((~tuning).sum()),
        tuned=int(tuning.sum()),
        clicks=int(train.clicks.sum()),
        base_reward=base_reward(train, settings.target),
        device=device,
        start=begun,
    )


def _start(day: Day, rows: TrainingSet, settings: Settings) -> tuple[Reward | None, str]:
    """The champion's reward model where the attempt begins from it and both have the same sizes."""
    start = read_start(day)
    if start is None:
        return None, "nothing"
    reward, said = start_reward(day, start, rows.judging_days())
    if reward is not None and not reward.starts(reward_config(settings)):
        return None, f"nothing: {said} has other members, ranks, buckets or heads"
    return reward, said


def reward_config(settings: Settings) -> RewardConfig:
    """The model's defaults with the configured changes."""
    return RewardConfig(target=settings.target, **settings.options)  # type: ignore[arg-type]


def _leave(day: Day, reward: Reward) -> None:
    from safetensors.torch import save_file

    tensors, described = reward.state()
    with day.scratch("reward") as folder:
        local = folder / "reward.safetensors"
        save_file(tensors, local)
        day.storage().upload(local, day.path(NAME, "reward.safetensors"))
    day.storage().write(day.path(NAME, "reward.json"), to_json(described))


def fit(
    rows: TrainingSet,
    train: Bags,
    tuning: np.ndarray,
    settings: Settings,
    device: str,
    checkpoint: Checkpoint | None = None,
    processes: Processes = ALONE,
    start: Reward | None = None,
) -> Reward:
    """The reward model of the rows not marked for tuning, begun where `start` ended; a killed run's
    checkpoint is gone on from."""
    config = reward_config(settings)
    try:
        return fit_reward(
            train.take(np.flatnonzero(~tuning)),
            train.take(np.flatnonzero(tuning)),
            rows.elements,
            settings.context,
            config,
            seed=settings.seed,
            device=device,
            checkpoint=checkpoint and checkpoint.file,
            start=start,
            progress=watched("reward model") if processes.rank == 0 else None,
            processes=processes,
            saved=checkpoint and checkpoint.saved,
        )
    except ValueError as error:
        raise Refused(f"the reward model cannot be trained: {error}") from error


def tuning_rows(bags: Bags, by_product: bool) -> np.ndarray:
    """True for about a tenth of the clusters (or products), chosen by the digest of their name."""
    names, codes = np.unique(
        bags.product_id if by_product else bags.cluster_id, return_inverse=True
    )
    chosen = np.array([zlib.crc32(str(name).encode()) % 10 < TUNING_TENTHS for name in names])
    marked = chosen[codes]
    if marked.all() or not marked.any():
        marked = np.arange(len(bags)) % 10 == 0
    return marked


def base_reward(bags: Bags, target: str) -> float:
    """Mean reward of a display in the target's unit."""
    earned = {"click": bags.clicks, "conversion": bags.conversions, "value": bags.value}[target]
    return float(earned.sum() / max(bags.impressions.sum(), 1.0))


def load_reward(day: Day) -> Reward:
    """The reward model that this attempt trained."""
    from safetensors.torch import load_file

    storage = day.storage()
    described = json.loads(storage.read(day.path(NAME, "reward.json")))
    return Reward.from_state(
        load_file(storage.fetch(day.path(NAME, "reward.safetensors"))), described
    )
