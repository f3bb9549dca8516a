"""Bags -> the reward model: posterior mode of every member by stochastic gradients.

The loss is a log posterior on the scale of the data, so the strength of every prior is relative
to what was seen: half of the click likelihood compares combinations within a product, half
predicts the level. Training stops when the tuning rows stop improving; they also calibrate.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags
from model.determinism import deterministic
from model.elements import Elements
from model.reward.calibration import Calibration, fit_calibration, level_shift
from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs, Encoding, fit_encoding
from model.reward.loss import binomial_loss, comparison_loss
from model.reward.network import Batch, RewardNetwork
from model.reward.reward import Reward, encode

__all__ = ["Reward", "RewardConfig", "fit_reward"]
CHECKS = 24  # how often in a training run the tuning rows are looked at
FEW_ROWS = 64  # rows a product below which batches hold whole products
HALF_WEIGHT = 0.9  # how far a member's weight of a cluster lies from 1
VALUE_PRIOR = 10.0  # conversions of mean value that a product is credited with


@dataclass(frozen=True, eq=False)
class Rows:
    """Bags as tensors with their product's place (n,), counts (n,), and the weight of each member
    (n, M)."""

    batch: Batch
    group: Tensor
    clicks: Tensor
    displays: Tensor
    conversions: Tensor
    weight: Tensor
    mature: Tensor
    converted: Tensor

    def take(self, index: Tensor) -> "Rows":
        b = self.batch
        return Rows(
            Batch(b.element[index], b.product[index], b.context[index], b.history[index]),
            *(getattr(self, name)[index] for name in _COUNTS),
        )


_COUNTS = ("group", "clicks", "displays", "conversions", "weight", "mature", "converted")


def fit_reward(
    train: Bags,
    valid: Bags,
    elements: Elements,
    context: Mapping[str, str],
    config: RewardConfig,
    *,
    seed: int,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Reward:
    """The model of `train`, stopped and calibrated on `valid`.

    Raises ValueError where there is nothing to learn from: no displays, no final label, no click,
    a target that never happened; and where the loss stops being a number.
    """
    _check(train, config)
    rng = np.random.default_rng(seed)
    shown = np.unique(train.element[train.element >= 0])
    encoding = fit_encoding(
        elements,
        shown,
        train.product_id,
        train.context,
        context,
        config.buckets,
        config.bins,
        train.history,
        config.landmarks,
    )
    inputs = encoding.element_inputs(elements.take(shown)).to(device)
    rows = _rows(encoding, train, shown, _weights(train, config.members, rng), device)
    network = RewardNetwork(encoding, config)
    network.start(config, torch.Generator().manual_seed(seed))
    network.to(device)
    with torch.no_grad():
        network.bias[0] = _odds(
            train.clicks[train.click_mature], train.impressions[train.click_mature]
        )
        network.bias[1] = _odds(train.conversions, train.clicks)
    tuning = _tuning(encoding, valid, elements, shown, config, device)
    with deterministic(device):
        _train(network, inputs, rows, tuning, train, config, seed, progress)
    network.to("cpu")
    values = _values(train)
    reward = Reward(network, encoding, config, Calibration(), values, _base_rate(train, config))
    calibration = _calibrated(reward, train, valid, elements, config)
    return Reward(network, encoding, config, calibration, values, reward.base_rate)


def _check(train: Bags, config: RewardConfig) -> None:
    mature = train.click_mature
    if not len(train) or train.impressions.sum() == 0:
        raise ValueError("found no displays to learn from, expected at least one; widen the window")
    if not mature.any():
        raise ValueError(
            f"none of {len(train):,} bags has a final click label; wait for the attribution window "
            "to close, or shorten it"
        )
    if train.clicks[mature].sum() == 0:
        raise ValueError(
            f"found no click in {train.impressions[mature].sum():,.0f} displays; expected at least "
            "one: check that clicks were delivered, or widen the window"
        )
    if config.target != "click" and train.conversions.sum() == 0:
        raise ValueError(
            f"the target is {config.target}, but no display converted; choose click, or widen the "
            "window"
        )


def _odds(events: np.ndarray, trials: np.ndarray) -> float:
    """Log-odds of the overall rate, half an event added on both sides."""
    return math.log((events.sum() + 0.5) / (max(trials.sum() - events.sum(), 0) + 0.5))


def _weights(bags: Bags, members: int, rng: np.random.Generator) -> np.ndarray:
    """(n, M) weight of each cluster for each member, 1 on average over every two of them.

    Members come in pairs that stress complementary halves of the clusters (balanced half-samples,
    McCarthy 1969), so that their mean is the model of all rows and only their spread is drawn. A
    member without a partner weighs all alike.
    """
    names, codes = np.unique(bags.cluster_id.astype(str), return_inverse=True)
    weight = np.ones((len(names), members))
    for first in range(0, members - 1, 2):
        half = HALF_WEIGHT * rng.choice([-1.0, 1.0], size=len(names))
        weight[:, first], weight[:, first + 1] = 1 + half, 1 - half
    return weight[codes]


def _rows(
    encoding: Encoding, bags: Bags, shown: np.ndarray, weight: np.ndarray, device: str
) -> Rows:
    place = np.searchsorted(shown, np.maximum(bags.element, shown[0] if len(shown) else 0))
    place = np.where(bags.element >= 0, place, -1)
    batch = encode(encoding, bags, place)
    moved = Batch(
        *(getattr(batch, n).to(device) for n in ("element", "product", "context", "history"))
    )
    clicks = np.minimum(bags.clicks, bags.impressions)
    columns = (
        clicks,
        bags.impressions,
        np.minimum(bags.conversions, clicks),
        weight,
        bags.click_mature,
        bags.conversion_mature,
    )
    tensors = (torch.from_numpy(np.asarray(c, np.float32)).to(device) for c in columns)
    group = np.unique(bags.product_id.astype(str), return_inverse=True)[1]
    return Rows(moved, torch.from_numpy(group).to(device), *tensors)


def _tuning(
    encoding: Encoding,
    valid: Bags,
    elements: Elements,
    shown: np.ndarray,
    config: RewardConfig,
    device: str,
) -> tuple[ElementInputs, Rows] | None:
    """The tuning rows with their own elements; None where they hold no click."""
    final = valid.take(np.flatnonzero(valid.click_mature))
    if not len(final) or final.clicks.sum() == 0:
        return None
    used = np.unique(final.element[final.element >= 0])
    inputs = encoding.element_inputs(elements.take(used)).to(device)
    return inputs, _rows(encoding, final, used, np.ones((len(final), config.members)), device)


def _train(
    network: RewardNetwork,
    inputs: ElementInputs,
    rows: Rows,
    tuning: tuple[ElementInputs, Rows] | None,
    train: Bags,
    config: RewardConfig,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Leaves the weights that the tuning rows liked best in the network."""
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / config.steps))
    )
    chance = torch.Generator().manual_seed(seed + 1)
    batches = _batches(train, config, np.random.default_rng(seed + 2))
    events = max(float(rows.clicks.sum()), 1.0)
    best = _Best(config.patience)
    show = progress or (lambda done, total: None)
    every = max(1, config.steps // CHECKS)
    for step in range(config.steps):
        index = torch.from_numpy(next(batches)).to(rows.clicks.device)
        keep = (torch.rand(len(inputs.own), generator=chance) >= config.id_dropout).float()
        loss = _loss(network, inputs, rows.take(index), keep.to(index.device), config)
        loss = loss * (len(train) / len(index)) + network.penalty(config)
        total = loss.sum() / events
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        schedule.step()
        show(step + 1, config.steps)
        if (step + 1) % every:
            continue
        _check_finite(float(total.detach()), step + 1)
        if tuning is not None and best.tired(network, _tuning_loss(network, tuning, config)):
            break
    if best.weights is not None:
        network.load_state_dict(best.weights)
    show(config.steps, config.steps)


class _Best:
    """The weights that the tuning rows liked best so far."""

    def __init__(self, patience: int) -> None:
        self.weights: dict[str, Tensor] | None = None
        self._loss = math.inf
        self._left = self._patience = patience

    def tired(self, network: RewardNetwork, loss: float) -> bool:
        """Keeps the weights if they are better; True once nothing was for too long."""
        if loss < self._loss - 1e-5:
            self._loss, self._left = loss, self._patience
            self.weights = {k: v.detach().clone() for k, v in network.state_dict().items()}
            return False
        self._left -= 1
        return self._left < 0


def _check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise ValueError(
            f"the reward model's loss is {loss} at step {step}; lower learning_rate or look for "
            "extreme values in embeddings and history"
        )


def _batches(train: Bags, config: RewardConfig, rng: np.random.Generator):
    """Row indices without end: all rows where they fit, else a shuffled pass after another.

    Where products have few rows each, a batch holds whole products, so that they are compared.
    """
    rows = len(train)
    if rows <= config.batch:
        while True:
            yield np.arange(rows)
    names, codes = np.unique(train.product_id.astype(str), return_inverse=True)
    whole = rows / len(names) < FEW_ROWS
    while True:
        order = (
            np.argsort(rng.permutation(len(names))[codes], kind="stable")
            if whole
            else rng.permutation(rows)
        )
        for start in range(0, rows - config.batch + 1, config.batch):
            yield order[start : start + config.batch]


def _loss(
    network: RewardNetwork,
    inputs: ElementInputs,
    rows: Rows,
    keep: Tensor | None,
    config: RewardConfig,
) -> Tensor:
    """(M,) minus log likelihood of these rows, over-dispersion divided out."""
    outputs = network.elements(inputs, keep)
    terms = network.terms(outputs, rows.batch)
    logits = terms.total()
    weight = rows.weight * rows.mature[:, None]
    level = binomial_loss(logits, rows.clicks, rows.displays, weight)
    within = comparison_loss(logits - terms.product, rows.clicks, rows.displays, weight, rows.group)
    loss = (1 - config.comparison) * level + config.comparison * within
    clicked = rows.clicks > 0
    if bool((rows.conversions > 0).any()):
        chosen = rows.take(torch.nonzero(clicked)[:, 0])
        after = network.terms(outputs, chosen.batch, head=1).total()
        final = chosen.weight * chosen.converted[:, None]
        loss = loss + binomial_loss(after, chosen.conversions, chosen.clicks, final)
    return loss / config.dispersion


@torch.no_grad()
def _tuning_loss(
    network: RewardNetwork, tuning: tuple[ElementInputs, Rows], config: RewardConfig
) -> float:
    """Comparison within products and, where any product is known, the level; per click."""
    inputs, rows = tuning
    terms = network.terms(network.elements(inputs), rows.batch)
    logits = terms.total().mean(1, keepdim=True)
    one = rows.weight[:, :1]
    loss = comparison_loss(logits, rows.clicks, rows.displays, one, rows.group)
    if bool((rows.batch.product > 0).any()):
        level = binomial_loss(logits, rows.clicks, rows.displays, one)
        loss = (1 - config.comparison) * level + config.comparison * loss
    return float(loss.sum() / rows.clicks.sum())


def _values(train: Bags) -> dict[str, float]:
    """Mean value of a conversion by product, shrunk to the mean of all ("" is anybody's)."""
    conversions = train.conversions.sum()
    if conversions == 0:
        return {}
    usual = float(train.value.sum() / conversions)
    names, codes = np.unique(train.product_id.astype(str), return_inverse=True)
    count = np.bincount(codes, train.conversions)
    earned = np.bincount(codes, train.value)
    shrunk = (earned + VALUE_PRIOR * usual) / (count + VALUE_PRIOR)
    return {"": usual, **dict(zip(names.tolist(), shrunk.tolist(), strict=True))}


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
    slope = fit_calibration(logits[0], clicks[0], displays[0], config.dispersion).slope
    pooled, counted, shown = (np.concatenate(both) for both in (logits, clicks, displays))
    return level_shift(pooled, counted, shown, slope)


def _log_odds(reward: Reward, bags: Bags, elements: Elements) -> np.ndarray:
    click = np.clip(reward.predict(bags, elements).click, 1e-9, 1 - 1e-9)
    return np.log(click / (1 - click))
