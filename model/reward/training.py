"""Gradient steps toward the posterior mode of every member, and where they stand.

The loss is a log posterior on the scale of the data, so the strength of every prior is relative
to what was seen: half of the click likelihood compares combinations within a product, half
predicts the level. A step's randomness is a function of the seed and its number, so a killed run
goes on from its checkpoint to the same weights.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model import checkpoint as disk
from model.processes import ALONE, Processes
from model.reward.batches import Batches
from model.reward.compact import renamed
from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs
from model.reward.fused.step import fused_step
from model.reward.loss import binomial_loss, comparison_loss
from model.reward.network import VALUE, Outputs, RewardNetwork
from model.reward.rows import Rows
from model.reward.tuning import clearly_worse, tuning_losses
from model.reward.value import value_loss

CHECKS = 24  # how often in a training run the tuning rows are looked at
LAST_RATE = 0.02  # share of the learning rate that is left at the end
BETTER = 1e-5  # nats a click that the tuning rows must gain


@dataclass(frozen=True, eq=False)
class Lesson:
    """What is learned from: elements of the rows, the rows, and those that tune, if any."""

    inputs: ElementInputs
    rows: Rows
    tuning: tuple[ElementInputs, Rows] | None
    product_id: np.ndarray  # (n,)

    def renamed(self, used: Tensor) -> "Lesson":
        """The same for a network that holds the n-grams of `used` buckets alone (compact.py)."""
        tuning = self.tuning and (renamed(self.tuning[0], used), self.tuning[1])
        return replace(self, inputs=renamed(self.inputs, used), tuning=tuning)


class Learner:
    """The members between two steps."""

    def __init__(
        self,
        network: RewardNetwork,
        lesson: Lesson,
        config: RewardConfig,
        seed: int,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.network, self.lesson, self.config, self.seed = network, lesson, config, seed
        self.optimiser = torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self.batches = Batches(lesson.product_id, config, seed + 2)
        self.events = max(float(lesson.rows.clicks.sum()), 1.0)
        self.converts = bool((lesson.rows.conversions > 0).any())
        self.best: dict[str, Tensor] = {}
        self.best_loss, self.left = math.inf, config.patience
        self.best_losses = torch.zeros(0)
        self.done, self.every = 0, max(1, config.steps // CHECKS)
        self.fused = fused_step(
            network, lesson.inputs, lesson.rows, config, self.optimiser, self.batches,
            events=self.events, converts=self.converts, processes=processes,
        )  # fmt: skip

    @property
    def over(self) -> bool:
        """Whether the steps are done, or the last ones were worse beyond chance."""
        return self.done >= self.config.steps or self.left < 0

    def advance(self) -> Tensor:
        """One step; the loss a click of this process' rows, on the device."""
        config, rows, learning = self.config, self.lesson.rows, self.processes
        if self.fused is not None:
            found = self.fused.advance(self.done, config.learning_rate * self._share())
            self.done += 1
            return found
        every = self.batches.there(self.done, rows.clicks.device)
        index = every[learning.part(len(every))]
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate * self._share()
        inputs, batch, keep = needed(self.lesson.inputs, rows.take(index), self._keep())
        outputs = self.network.elements(inputs, keep)
        loss = self._row_loss(outputs, batch) * (self.batches.rows / len(every))
        loss = loss + self.network.penalty(config) / learning.count
        total = loss.sum() / self.events
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        learning.add_gradients(self.network.parameters())
        self.optimiser.step()
        self.done += 1
        return total.detach()

    def _row_loss(self, outputs: Outputs, rows: Rows) -> Tensor:
        """(M,) minus log likelihood of these rows, over-dispersion divided out."""
        config, network = self.config, self.network
        logits, within_logits = network.logits(outputs, rows.batch)
        weight = rows.weight * rows.mature[:, None]
        level = binomial_loss(logits, rows.clicks, rows.displays, weight)
        within = comparison_loss(
            within_logits, rows.clicks, rows.displays, weight, rows.group,
            self.batches.products, self.processes,
        )  # fmt: skip
        loss = (1 - config.comparison) * level + config.comparison * within
        if self.converts:
            chosen = _with(rows, rows.clicks)
            after, _ = network.logits(outputs, chosen.batch, head=1)
            final = chosen.weight * chosen.converted[:, None]
            loss = loss + binomial_loss(after, chosen.conversions, chosen.clicks, final)
        loss = loss / config.dispersion
        if network.heads > VALUE:
            chosen = _with(rows, rows.evidence)
            ratio, _ = network.logits(outputs, chosen.batch, head=VALUE)
            loss = loss + value_loss(ratio, chosen.ratio, chosen.evidence, chosen.weight)
        return loss

    def _share(self) -> float:
        """Of the learning rate: a cosine from 1 down."""
        turn = 0.5 * (1 + math.cos(math.pi * self.done / self.config.steps))
        return LAST_RATE + (1 - LAST_RATE) * turn

    def _keep(self) -> Tensor | None:
        """(m,) 0 where an element's ids are dropped in this step; None where none is."""
        if self.config.id_dropout == 0:
            return None
        inputs = self.lesson.inputs
        seed = np.random.SeedSequence([self.seed, 1, self.done]).generate_state(1, np.uint64)[0]
        chance = torch.Generator().manual_seed(int(seed >> np.uint64(1)))
        kept = torch.rand(len(inputs.own), generator=chance) >= self.config.id_dropout
        return kept.float().to(inputs.own.device)

    def look(self, loss: Tensor) -> None:
        """Keeps the weights if the tuning rows like them best. Raises ValueError where the loss is
        no number."""
        check_finite(float(self.processes.total(loss)), self.done)
        if self.lesson.tuning is None:
            return
        losses = tuning_losses(self.network, self.lesson.tuning, self.config)
        clicks = float(self.lesson.tuning[1].clicks.sum())
        found = self.processes.first(float(losses.sum()) / clicks)
        if found < self.best_loss - BETTER:
            self.best_loss, self.best_losses, self.left = found, losses, self.config.patience
            kept = self.network.state_dict().items()
            self.best = {k: v.detach().clone() for k, v in kept}
        elif self._overdone(losses):
            self.left -= 1

    def _overdone(self, losses: Tensor) -> bool:
        """Whether the tuning rows say, beyond chance, that the best look was better."""
        assert self.lesson.tuning is not None, "only looked at where there are tuning rows"
        group = self.lesson.tuning[1].group
        return bool(self.processes.first(clearly_worse(losses, self.best_losses, group)))

    def finish(self) -> None:
        """The network has the last weights, or where these are worse beyond chance, those that the
        tuning rows liked best."""
        if not self.best or self.lesson.tuning is None:
            return
        if self._overdone(tuning_losses(self.network, self.lesson.tuning, self.config)):
            self.network.load_state_dict(self.best)

    def save(
        self, path: Path | None, digest: str, saved: Callable[[Path], None] | None = None
    ) -> None:
        """The first process writes the checkpoint, if one is asked for, from which `resume` goes on
        exactly."""
        if path is None or self.processes.rank:
            return
        tensors = {
            **disk.network_tensors("network", self.network),
            **{f"best.{name}": tensor for name, tensor in self.best.items()},
            **disk.optimiser_tensors(self.optimiser),
            "best_loss": torch.tensor(self.best_loss, dtype=torch.float64),
            "best_losses": self.best_losses,
        }
        disk.save(path, tensors, {"digest": digest, "done": self.done, "left": self.left})
        if saved is not None:
            saved(path)

    def resume(self, path: Path | None, digest: str) -> int:
        """Steps already done by the checkpoint's run; 0 where there is none of these inputs."""
        stored = disk.found(path, digest, self.processes)
        if stored is None:
            return 0
        tensors, facts = stored
        disk.restore_network("network", self.network, tensors)
        disk.restore_optimiser(self.optimiser, tensors)
        device = self.lesson.rows.clicks.device
        self.best = {
            key.removeprefix("best."): tensor.to(device)
            for key, tensor in tensors.items()
            if key.startswith("best.")
        }
        self.best_loss, self.left = float(tensors["best_loss"]), int(facts["left"])
        self.best_losses = tensors["best_losses"].to(device)
        self.done = int(facts["done"])
        return self.done


def _with(rows: Rows, counts: Tensor) -> Rows:
    """The rows where something was counted. On a GPU all of them, the others weighing nothing:
    choosing would make the host wait."""
    return rows if counts.is_cuda else rows.take(torch.nonzero(counts > 0)[:, 0])


def needed(
    inputs: ElementInputs, rows: Rows, keep: Tensor | None
) -> tuple[ElementInputs, Rows, Tensor | None]:
    """The elements that these rows show, and the rows pointing to them; all where they are few, or
    on a GPU, where finding them would make the host wait."""
    shown = rows.batch.element
    if shown.is_cuda or shown.numel() >= len(inputs.own):
        return inputs, rows, keep
    used = torch.unique(shown[shown >= 0])
    place = torch.where(shown >= 0, torch.searchsorted(used, shown), -1)
    batch = replace(rows.batch, element=place)
    return inputs.take(used), replace(rows, batch=batch), None if keep is None else keep[used]


def check_finite(loss: float, step: int) -> None:
    if not math.isfinite(loss):
        raise ValueError(
            f"the reward model's loss is {loss} at step {step}; lower learning_rate or look for "
            "extreme values in embeddings and history"
        )
