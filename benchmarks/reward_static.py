"""What the fused step is measured beside: autograd in fixed shapes, compiled, one CUDA graph.

The sums over a bag's elements are gathers of a table of what elements contribute, unrolled over
slots, so that a compiler fuses them with the loss; rows without clicks or conversions weigh nothing
instead of being left out. What is summed over rows is summed in float32.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs
from model.reward.loss import binomial_loss, comparison_loss
from model.reward.network import Batch, Outputs, RewardNetwork
from model.reward.rows import Rows


@dataclass(frozen=True)
class How:
    """What is done about speed; `kind` is that of the table of elements and of the context."""

    kind: torch.dtype = torch.float32
    compiled: bool = False
    graph: bool = False


class _Summed(torch.autograd.Function):
    """(n, W) sum of the rows (n, S) of a table (m, W); gradients are added up in float32."""

    @staticmethod
    def forward(ctx, table: Tensor, at: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(at)
        ctx.size = table.shape[0]
        total = table[at[:, 0]].float()
        for slot in range(1, at.shape[1]):
            total = total + table[at[:, slot]].float()
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (at,) = ctx.saved_tensors
        found = torch.zeros(ctx.size, grad.shape[1], dtype=torch.float32, device=grad.device)
        for slot in range(at.shape[1]):
            found = found.index_add(0, at[:, slot], grad.float())
        return found, None


def both_logits(
    network: RewardNetwork, outputs: Outputs, batch: Batch, kind: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """(n, M) log-odds of a click, those without the product's term, and of a conversion after it:
    equal to `network.logits` of both heads up to rounding."""
    m, rows = network.members, len(outputs.term)
    squares = outputs.pair.square().sum(2)
    parts = (outputs.term[..., 0], outputs.term[..., 1], squares)
    table = torch.cat([*parts, outputs.pair.flatten(1), outputs.context.flatten(1)], dim=1)
    table = F.pad(table, (0, 0, 0, 1))
    at = torch.where(batch.element >= 0, batch.element, rows)
    added = _summed(table.to(kind), at)
    context = batch.context.to(kind)
    weights = torch.cat([network.context.flatten(1), network.mixing.flatten(1)], dim=1).to(kind)
    told = (context @ weights).float()
    after, click = told[:, m : 2 * m], told[:, :m]
    if batch.history.shape[2]:
        known = (batch.history * (batch.element >= 0)[..., None]).sum(1)
        click = click + known @ network.history[:, 0]
        after = after + known @ network.history[:, 1]
    mixed = told[:, network.context.shape[1] * m :]
    sizes = [m, m, m, m * network.rank, m * network.context_rank]
    term, later, square, pair, factor = added.split(sizes, 1)
    whole = pair.reshape(-1, m, network.rank).square().sum(2)
    affinity = (factor * mixed).reshape(-1, m, network.context_rank).sum(2)
    within = network.bias[0] + term + click + 0.5 * (whole - square) + affinity
    known = (batch.product > 0).float()[:, None]
    own = F.embedding(batch.product, network.product[:, :2].flatten(1)) * known
    return within + own[:, :m], within, network.bias[1] + later + after + own[:, m:]


def _summed(table: Tensor, at: Tensor) -> Tensor:
    return _Summed.apply(table, at)  # type: ignore[return-value]


class StaticStep:
    """The weights, moved by one step at a time on batches of one size."""

    def __init__(
        self,
        network: RewardNetwork,
        inputs: ElementInputs,
        first: Rows,
        config: RewardConfig,
        groups: int,
        total: int,
        how: How,
    ) -> None:
        """first: a batch of the size of all; total: rows of the log; groups: products in it."""
        self.network, self.inputs, self.config, self.how = network, inputs, config, how
        self.groups, self.total = groups, total
        self.rows = first
        self.optimiser = torch.optim.Adam(
            network.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), fused=True,
            capturable=first.clicks.is_cuda,
        )  # fmt: skip
        self.found = torch.zeros((), device=first.clicks.device)
        self._loss = torch.compile(self.loss, dynamic=False) if how.compiled else self.loss
        self._replay: Callable[[], None] | None = None

    def loss(self, rows: Rows) -> Tensor:
        """The log posterior of these rows, a row of theirs standing for its share of all."""
        config, network = self.config, self.network
        outputs = network.elements(self.inputs)
        logits, within, after = both_logits(network, outputs, rows.batch, self.how.kind)
        weight = rows.weight * rows.mature[:, None]
        level = binomial_loss(logits, rows.clicks, rows.displays, weight)
        apart = comparison_loss(within, rows.clicks, rows.displays, weight, rows.group, self.groups)
        loss = (1 - config.comparison) * level + config.comparison * apart
        final = rows.weight * rows.converted[:, None]
        loss = loss + binomial_loss(after, rows.conversions, rows.clicks, final)
        scale = self.total / (len(rows.clicks) * config.dispersion)
        return (loss * scale + network.penalty(config)).sum()

    def gradients(self) -> Tensor:
        """The loss of the rows held; every weight has its gradient."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self._loss(self.rows)
        loss.backward()
        return loss.detach()

    def run(self) -> None:
        """One step on the rows held."""
        if not self.how.graph:
            self._step()
        elif self._replay is None:
            self._replay = self._captured()
        else:
            self._replay()

    def _step(self) -> None:
        self.found = self.gradients()
        self.optimiser.step()

    def _captured(self) -> Callable[[], None]:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        return graph.replay

    def hold(self, rows: Rows) -> None:
        """The next step's rows are these, copied to where the graph reads them."""
        for name, value in vars(rows.batch).items():
            getattr(self.rows.batch, name).copy_(value, non_blocking=True)
        for name, value in vars(rows).items():
            if name != "batch":
                getattr(self.rows, name).copy_(value, non_blocking=True)


def as_kind(rows: Rows, kind: torch.dtype) -> Rows:
    """The rows with contexts in `kind` and element places in 4 bytes, as a GPU is to read them."""
    batch = replace(
        rows.batch, context=rows.batch.context.to(kind), element=rows.batch.element.int()
    )
    return replace(rows, batch=batch)
