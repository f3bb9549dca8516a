"""Attention pooling over a bag's elements (Ilse, Tomczak and Welling 2018), and two poolings beside.

All else is the same in the three: an element is embedded by one hidden layer with a vector of its
own, the product's smoothed level is given, contexts have a weight each, and the loss is that of
our model: half the binomial likelihood, half the comparison within the product.

    attention   z = level + context + w . sum_s a_s h_s,  a = softmax(u . (tanh(V h) * sig(U h)))
    additive    z = level + context + sum_s w . h_s
    noisy-or    p = 1 - prod_s (1 - sig(level + context - log S + w . h_s))
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.reward.content import content
from benchmarks.reward.levels import Levels
from benchmarks.reward.task import Answer, Task
from model.bags import Bags
from model.reward.loss import binomial_loss, comparison_loss

Pool = Literal["attention", "additive", "noisy-or"]
HIDDEN, GATE = 32, 16
STEPS, BATCH, RATE, DECAY = 240, 16384, 0.01, 0.02
CHECKS, PATIENCE = 24, 8
DISPERSION = 2.0
EDGES = torch.tensor([4.0, 8.0, 12.0, 16.0, 20.0])


@dataclass(frozen=True, eq=False)
class Packed:
    """n bags as tensors: element (n, S), level (n,), context (n, C), counts, product (n,)."""

    element: Tensor
    level: Tensor
    context: Tensor
    clicks: Tensor
    displays: Tensor
    group: Tensor

    def take(self, rows: Tensor) -> "Packed":
        return Packed(*(column[rows] for column in vars(self).values()))


class PoolingNetwork(nn.Module):
    """Log-odds of bags by one of three poolings of the same embedded elements."""

    def __init__(self, width: int, known: int, contexts: int, pool: Pool) -> None:
        super().__init__()
        self.pool: Pool = pool
        self.embed = nn.Linear(width, HIDDEN)
        self.own = nn.Embedding(known + 1, HIDDEN, padding_idx=0)
        nn.init.normal_(self.own.weight, std=0.01)
        self.value, self.gate = nn.Linear(HIDDEN, GATE), nn.Linear(HIDDEN, GATE)
        self.ask = nn.Linear(GATE, 1)
        self.head = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.head.weight)
        self.context = nn.Parameter(torch.zeros(contexts))

    def forward(self, given: Tensor, own: Tensor, bags: Packed) -> tuple[Tensor, Tensor]:
        """(log-odds (n,), what each element adds (n, S)) of bags; given (m, F), own (m,)."""
        hidden = torch.tanh(self.embed(given) + self.own(own))
        present = bags.element >= 0
        at = bags.element.clamp(min=0)
        worth = self.head(hidden)[:, 0][at].masked_fill(~present, 0.0)
        base = bags.level + bags.context @ self.context
        if self.pool == "additive":
            return base + worth.sum(1), worth
        if self.pool == "attention":
            asked = self.ask(torch.tanh(self.value(hidden)) * torch.sigmoid(self.gate(hidden)))
            share = asked[:, 0][at].masked_fill(~present, -torch.inf).softmax(1)
            return base + (share * worth).sum(1), share * worth
        return _noisy_or(base, worth, present)


def _noisy_or(base: Tensor, worth: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """An element's part: its log-odds times how far the bag's log-odds follow it."""
    many = present.sum(1).clamp(min=1).log()
    single = torch.sigmoid((base - many)[:, None] + worth) * present
    none = torch.log1p(-single.clamp(max=1 - 1e-6)).sum(1)
    chance = -torch.expm1(none)
    odds = chance.clamp(min=1e-9).log() - none
    return odds, worth * single / chance.clamp(min=1e-9)[:, None]


def pooled(task: Task, pool: Pool, seed: int = 0) -> Answer:
    """The network learned from the task's bags, stopped on its valid rows."""
    torch.manual_seed(seed)
    trained = np.unique(task.train.element[task.train.element >= 0])
    given = torch.from_numpy(content(task.elements, trained))
    own = torch.zeros(len(task.elements), dtype=torch.int64)
    own[trained] = torch.arange(1, len(trained) + 1)
    levels = Levels(task.train)
    train, valid, judged = (_pack(b, levels, task) for b in (task.train, task.valid, task.judged))
    network = PoolingNetwork(given.shape[1], len(trained), train.context.shape[1], pool)
    _learn(network, given, own, train, valid, np.random.default_rng(seed))
    with torch.no_grad():
        odds, element = network(given, own, judged)
    return Answer(
        odds.numpy().astype(np.float64),
        torch.sigmoid(odds).numpy().astype(np.float64),
        element=element.numpy().astype(np.float64),
    )


def _learn(
    network: PoolingNetwork,
    given: Tensor,
    own: Tensor,
    train: Packed,
    valid: Packed,
    rng: np.random.Generator,
) -> None:
    decayed = [p for n, p in network.named_parameters() if not n.endswith("bias")]
    plain = [p for n, p in network.named_parameters() if n.endswith("bias")]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    rows, best, left, kept = len(train.level), math.inf, PATIENCE, None
    for step in range(STEPS):
        whole = rows <= BATCH
        index = torch.arange(rows) if whole else torch.from_numpy(rng.integers(rows, size=BATCH))
        loss = _loss(network, given, own, train.take(index))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if (step + 1) % (STEPS // CHECKS):
            continue
        with torch.no_grad():
            now = float(_loss(network, given, own, valid))
        if now < best - 1e-5:
            best, left = now, PATIENCE
            kept = {k: v.detach().clone() for k, v in network.state_dict().items()}
        else:
            left -= 1
        if left < 0:
            break
    if kept is not None:
        network.load_state_dict(kept)


def _loss(network: PoolingNetwork, given: Tensor, own: Tensor, bags: Packed) -> Tensor:
    odds = network(given, own, bags)[0][:, None]
    one = torch.ones_like(odds)
    present, group = torch.unique(bags.group, return_inverse=True)
    level = binomial_loss(odds, bags.clicks, bags.displays, one)
    within = comparison_loss(
        odds - bags.level[:, None], bags.clicks, bags.displays, one, group, len(present)
    )
    return (0.5 * level + 0.5 * within).sum() / DISPERSION / bags.clicks.sum().clamp(min=1)


def _pack(bags: Bags, levels: Levels, task: Task) -> Packed:
    context = [torch.zeros(len(bags), 0)]
    for name, kind in task.context.items():
        if kind == "number":
            code = torch.bucketize(torch.from_numpy(bags.context[name].astype(np.float32)), EDGES)
            context.append(torch.eye(len(EDGES) + 1)[code])
            continue
        known = np.unique(task.train.context[name].astype(str))
        values = bags.context[name].astype(str)
        context.append(torch.from_numpy((values[:, None] == known[None]).astype(np.float32)))
    columns = (bags.clicks, bags.impressions)
    counts = (torch.from_numpy(c.astype(np.float32)) for c in columns)
    group = np.unique(bags.product_id.astype(str), return_inverse=True)[1].reshape(-1)
    return Packed(
        torch.from_numpy(bags.element.astype(np.int64)),
        torch.from_numpy(levels.of(bags).astype(np.float32)),
        torch.cat(context, 1),
        *counts,
        torch.from_numpy(group),
    )


def attention_mil(task: Task) -> Answer:
    """The gated attention network of Ilse et al."""
    return pooled(task, "attention")
