"""Bags -> the reward model: members trained, stopped and calibrated on rows held out for it."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from model.bags import Bags
from model.codes import coded
from model.determinism import deterministic
from model.elements import Elements
from model.processes import ALONE, Processes
from model.reward.calibration import Calibration, comparison_slope, fit_calibration, level_shift
from model.reward.compact import only_used
from model.reward.config import RewardConfig
from model.reward.dispersion import estimated
from model.reward.encoding import Encoding
from model.reward.encoding_fit import fit_encoding
from model.reward.network import HEADS, VALUE, RewardNetwork, learning_gib
from model.reward.reward import Reward
from model.reward.rows import member_weights, rows_of, tuning_of
from model.reward.training import Learner, Lesson
from model.reward.tuning import heard
from model.reward.value import levelled, product_values

__all__ = ["Reward", "RewardConfig", "fit_reward"]


def fit_reward(
    train: Bags,
    valid: Bags,
    elements: Elements,
    context: Mapping[str, str],
    config: RewardConfig,
    *,
    seed: int,
    device: str = "cpu",
    checkpoint: Path | None = None,
    start: Reward | None = None,
    progress: Callable[[int, int], None] | None = None,
    processes: Processes = ALONE,
    saved: Callable[[Path], None] | None = None,
) -> Reward:
    """The model of `train`, stopped and calibrated on `valid`, begun where `start` ended.

    The same arguments give the same weights (bit for bit on one CPU thread count). With a
    `checkpoint` file a killed run goes on where it was last saved and ends with the same weights; a
    checkpoint of other inputs is ignored and written over; `saved` is told of each that was
    written. Several `processes` learn the same model up to rounding. Raises ValueError where there is nothing
    to learn from: no displays, no final label, no click, a target that never happened; and where
    the loss stops being a number, or `start` has other sizes.

    Where the log has conversions but no clicks, displays convert end to end (`Reward.event`).
    """
    event = event_of(train, config)
    if event == "conversion":
        train, valid = (end_to_end(bags) for bags in (train, valid))
    _check(train, config, event)
    if config.dispersion == 0:
        config = replace(config, dispersion=estimated(train))
    rng = np.random.default_rng(seed)
    shown = np.unique(train.element[train.element >= 0])
    encoding = fit_encoding(
        elements,
        shown,
        train,
        context,
        config.buckets,
        config.bins,
        config.landmarks,
    )
    _check_size(encoding, config)
    inputs = encoding.element_inputs(elements.take(shown)).to(device)
    values = product_values(train)
    weight = member_weights(train, config.members, rng)
    rows = rows_of(encoding, _untold(train, encoding, elements), shown, weight, device, values)
    network = RewardNetwork(encoding, config, HEADS + (config.target == "value"))
    network.start(config, torch.Generator().manual_seed(seed))
    if encoding.history["lifts"]:
        network.trust(encoding.history["lifts"][0][0])
    network.to(device)
    with torch.no_grad():
        network.bias[0] = _odds(
            train.clicks[train.click_mature], train.impressions[train.click_mature]
        )
        network.bias[1] = _odds(train.conversions, train.clicks)
    if start is not None:
        start.warm(network, encoding)
    tuning = tuning_of(
        encoding, _untold(valid, encoding, elements), elements, shown, config, device, values
    )
    with deterministic(device), only_used(network, inputs) as used:
        lesson = Lesson(inputs, rows, tuning, train.product_id).renamed(used)
        learner = Learner(network, lesson, config, seed, processes)
        _learn(learner, checkpoint, progress, saved)
        if network.heads > HEADS:
            network.quieten(VALUE, processes.first(heard(network, lesson.tuning)))
    network.to("cpu")
    rate = _base_rate(train, config)
    draft = Reward(network, encoding, config, Calibration(), values, rate, event)
    if network.heads > HEADS:
        values = levelled(values, train, draft.log_ratio(train, elements))
    calibration = _calibrated(draft, train, valid, elements, config)
    return Reward(network, encoding, config, calibration, values, rate, event)


def _untold(bags: Bags, encoding: Encoding, elements: Elements) -> Bags:
    """The bags with the history that the ids do not learn."""
    if not bags.history.shape[2]:
        return bags
    codes = encoding.own_codes(elements)
    own = np.where(bags.element >= 0, codes[np.maximum(bags.element, 0)], 0)
    return replace(bags, history=encoding.untold(bags.history, own))


def event_of(train: Bags, config: RewardConfig) -> str:
    """What the first head predicts: the click, or the conversion where the log has no clicks."""
    wanted = config.target != "click" and train.conversions.sum() > 0
    return "conversion" if wanted and train.clicks.sum() == 0 else "click"


def end_to_end(bags: Bags) -> Bags:
    """The bags with their conversions, once these are final, in the place of clicks."""
    return replace(bags, clicks=bags.conversions, click_mature=bags.conversion_mature)


def _learn(
    learner: Learner,
    checkpoint: Path | None,
    progress: Callable[[int, int], None] | None,
    saved: Callable[[Path], None] | None,
) -> None:
    """Leaves the last weights in the network, or earlier ones that the tuning rows clearly like."""
    show, total = progress or (lambda done, total: None), learner.config.steps
    alone = learner.processes.count == 1
    digest = "" if checkpoint is None and alone else _digest(learner)
    learner.processes.agree(digest)
    learner.resume(checkpoint, digest)
    while not learner.over:
        loss = learner.advance()
        show(learner.done, total)
        if learner.done % learner.every == 0:
            learner.look(loss)
            learner.save(checkpoint, digest, saved)
    learner.finish()
    show(total, total)


def _digest(learner: Learner) -> str:
    """Names what is learned from and how."""
    told = hashlib.sha256(json.dumps([asdict(learner.config), learner.seed]).encode())
    told.update(learner.lesson.rows.digest().encode())
    inputs = learner.lesson.inputs
    begun = learner.network.parameters()
    for part in (inputs.dense, inputs.smooth, inputs.own, inputs.grams.bucket, *begun):
        told.update(part.detach().cpu().contiguous().numpy().tobytes())
    return told.hexdigest()


def _check(train: Bags, config: RewardConfig, event: str) -> None:
    mature = train.click_mature
    if not len(train) or train.impressions.sum() == 0:
        raise ValueError("found no displays to learn from, expected at least one; widen the window")
    if not mature.any():
        raise ValueError(
            f"none of {len(train):,} bags has a final {event} label; wait for the attribution window "
            "to close, or shorten it"
        )
    if train.clicks[mature].sum() == 0:
        raise ValueError(
            f"found no {event} in {train.impressions[mature].sum():,.0f} displays; expected at least "
            f"one: check that {event}s were delivered, or widen the window"
        )
    if config.target != "click" and train.conversions.sum() == 0:
        raise ValueError(
            f"the target is {config.target}, but no display converted; choose click, or widen the "
            "window"
        )
    if config.target == "value" and not train.value.sum() > 0:
        raise ValueError(
            f"the target is value, but {train.conversions.sum():,.0f} conversions were worth "
            f"{train.value.sum():g} in all; send values with conversions, or choose conversion"
        )


def _check_size(encoding: Encoding, config: RewardConfig) -> None:
    elements = len(encoding.own)
    rest = len(encoding.shared) + len(encoding.products) + encoding.dense_width
    needed = learning_gib(elements, rest, config, HEADS + (config.target == "value"))
    if needed > config.most_gib:
        raise ValueError(
            f"learning {elements:,} elements that were shown, with {config.members} members, takes "
            f"{needed:.1f} GiB for weights alone, expected at most {config.most_gib:g}; lower "
            "members, interaction or context_rank, shorten the window, or raise most_gib"
        )


def _odds(events: np.ndarray, trials: np.ndarray) -> float:
    """Log-odds of the overall rate, half an event added on both sides."""
    return math.log((events.sum() + 0.5) / (max(trials.sum() - events.sum(), 0) + 0.5))


def _base_rate(train: Bags, config: RewardConfig) -> float:
    earned = {"click": train.clicks, "conversion": train.conversions, "value": train.value}
    return float(earned[config.target].sum() / train.impressions.sum())


def _calibrated(
    reward: Reward, train: Bags, valid: Bags, elements: Elements, config: RewardConfig
) -> Calibration:
    """Slope from the tuning rows, level from all rows with a final label."""
    parts = [bags.take(np.flatnonzero(bags.click_mature)) for bags in (valid, train)]
    logits = [_log_odds(reward, bags, elements) for bags in parts]
    clicks = [np.minimum(bags.clicks, bags.impressions) for bags in parts]
    displays = [bags.impressions for bags in parts]
    slope = _slope(parts[0], parts[1], logits[0], config.dispersion)
    pooled, counted, shown = (np.concatenate(both) for both in (logits, clicks, displays))
    return level_shift(pooled, counted, shown, slope)


def _slope(valid: Bags, train: Bags, logits: np.ndarray, dispersion: float) -> float:
    """Of the tuning rows; of those of a product among each other where none is known."""
    names, group = coded(valid.product_id)
    known = np.isin(names, coded(train.product_id)[0]).any()
    clicks, displays = np.minimum(valid.clicks, valid.impressions), valid.impressions
    if known:
        return fit_calibration(logits, clicks, displays, dispersion, group).slope
    return comparison_slope(logits, clicks, displays, dispersion, group)


def _log_odds(reward: Reward, bags: Bags, elements: Elements) -> np.ndarray:
    click = np.clip(reward.predict(bags, elements).click, 1e-9, 1 - 1e-9)
    return np.log(click / (1 - click))
