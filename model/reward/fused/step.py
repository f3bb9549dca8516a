"""A training step without autograd, the same bits every time, one CUDA graph on a GPU.

Elements become a table of what they add; rows, in runs of one product, read the table's window and
add up its gradient (plain.py, row_kernels.py, hopper/); the table's gradient becomes that of
n-grams, ids and embeddings by sums whose order was sorted once; Adam adds the prior's gradient in
its own pass. Gradients lie in one flat buffer, which several processes sum at once, inside the
graph.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from model.processes import ALONE, Processes
from model.reward.batches import Batches
from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs
from model.reward.fused import adam, layout, plain, runs
from model.reward.fused.beside import beside
from model.reward.fused.hopper import rows as hopper
from model.reward.fused.plain import Asked
from model.reward.fused.pooled import pool_of
from model.reward.fused.told import Told
from model.reward.network import RewardNetwork
from model.reward.rows import Rows

FEWEST, MOST = 128, 1024  # parts of the elements whose outer products are summed side by side


class Elements:
    """The elements' table and, of its gradient, that of the weights it is made of."""

    def __init__(self, network: RewardNetwork, held: layout.Held, kernels: bool) -> None:
        self.network, self.held, self.kernels = network, held, kernels
        inputs, sizes = held.inputs, held.sizes
        count, device = len(inputs.own), held.clicks.device
        grams = inputs.grams
        element = torch.repeat_interleave(
            torch.arange(count, device=device), grams.offset[1:] - grams.offset[:-1]
        )
        ones, every = torch.ones(count, device=device), torch.arange(count, device=device)
        self.words_of = pool_of(element, grams.bucket, grams.weight, count)
        self.text_of = pool_of(grams.bucket, element, grams.weight, len(network.text))
        self.shared_of = pool_of(inputs.shared, every, ones, len(network.shared))
        self.slot_of = pool_of(inputs.slot, every, ones, len(network.slot))
        self.own_id, self.shared_id = inputs.own.int(), inputs.shared.int()
        self.slot_id = inputs.slot.int()
        chunks = min(max(count // 1024, FEWEST), MOST)
        self.chunks, self.chunk = chunks, -(-count // chunks)
        self.dense, self.smooth = self._padded(inputs.dense), self._padded(inputs.smooth)
        self.words = torch.zeros(count, sizes.outs, device=device)
        self.table = torch.zeros(count, sizes.columns, device=device)
        self.table_grad = torch.zeros(count, sizes.columns, device=device)
        self.found_grad = torch.zeros(chunks * self.chunk, sizes.width, device=device)

    def placed(self) -> None:
        """Writes the table."""
        network, count = self.network, len(self.table)
        odds, slot = self.held.sizes.odds, network.slot.detach().flatten(1)
        pooled = runs.pooled_rows if self.kernels else plain.pooled
        pooled(self.words_of, network.text.detach(), self.words, odds)
        if self.smooth.shape[1]:
            self.words[:, :odds] += self.smooth[:count] @ network.smooth.detach()
        dense, own, shared = (getattr(network, n).detach() for n in ("dense", "own", "shared"))
        if self.kernels:
            runs.placed(
                self.held.sizes, self.dense, dense, own, self.own_id, shared, self.shared_id,
                self.words, slot, self.slot_id, self.table,
            )  # fmt: skip
        else:
            plain.placed(
                self.held.sizes, self.dense[:count] @ dense, own[self.own_id],
                shared[self.shared_id], self.words, slot[self.slot_id], self.table,
            )  # fmt: skip

    def unplaced(self, to: dict[str, Tensor]) -> None:
        """Writes the weights' gradients, of the table's in `table_grad`."""
        odds = self.held.sizes.odds
        pooled = runs.pooled_runs if self.kernels else plain.pooled
        beside(
            self.table.device,
            lambda: self._unplaced(to),
            lambda: pooled(self.text_of, self.table_grad, to["text"], odds),
            lambda: pooled(self.slot_of, self.table_grad, to["slot"].flatten(1), odds),
        )

    def _unplaced(self, to: dict[str, Tensor]) -> None:
        """Those of ids and embeddings."""
        sizes, found = self.held.sizes, self.found_grad[: len(self.table)]
        pooled = runs.pooled_runs if self.kernels else plain.pooled
        if self.kernels:
            runs.unplaced(
                sizes, self.table_grad, self.table, self.own_id, to["own"], found
            )  # fmt: skip
        else:
            plain.unplaced(sizes, self.table_grad, self.table, found)
            to["own"].zero_()
            to["own"][self.own_id.long()] = found
        pooled(self.shared_of, found, to["shared"], sizes.width)
        _outer(self.chunks, self.dense, self.found_grad, to["dense"])
        if self.smooth.shape[1]:
            _outer(self.chunks, self.smooth, self.found_grad[:, : sizes.odds], to["smooth"])

    def _padded(self, part: Tensor) -> Tensor:
        whole = part.new_zeros(self.chunks * self.chunk, part.shape[1])
        whole[: len(part)] = part
        return whole


def _outer(parts: int, left: Tensor, right: Tensor, out: Tensor) -> None:
    """left^T right, in a fixed order; left and right have so many parts of one size."""
    rows = len(left) // parts
    a, b = (part.reshape(parts, rows, part.shape[1]) for part in (left, right))
    torch.sum(torch.bmm(a.transpose(1, 2), b), 0, out=out)


class FusedStep:
    """The weights between two steps; batches have one size."""

    def __init__(
        self,
        network: RewardNetwork,
        held: layout.Held,
        config: RewardConfig,
        optimiser: Optimizer,
        batches: Batches,
        *,
        events: float,
        converts: bool,
        processes: Processes = ALONE,
        tuned: runs.Tuned | Literal["hopper"] | None = None,
    ) -> None:
        """events: clicks of the log; tuned: by kernels, None: in torch."""
        self.network, self.config, self.processes = network, config, processes
        self.optimiser, self.batches, self.converts = optimiser, batches, converts
        device, sizes = held.clicks.device, held.sizes
        size = min(batches.size, batches.rows)
        self.cut, self.graph = processes.part(size), device.type == "cuda"
        own = self.cut.stop - self.cut.start
        self.scale = batches.rows / (size * config.dispersion * events)
        self.kernels = tuned is not None
        self.rows = _rows(held, own, tuned, processes.count > 1)
        self.held = held = self.rows.held
        self.elements = Elements(network, held, self.kernels)
        kind = {"dtype": torch.int32, "device": device}
        self.order, self.starts = torch.zeros(own, **kind), torch.zeros(sizes.products + 1, **kind)
        self.flat, self.to = gradients_of(network)
        self.told = Told(network, held, self.to)
        self.rate = torch.zeros((), device=device)
        priors = adam.priors(network, config, events)
        self.adam = adam.Adam(network, optimiser, priors, self.to, self.kernels)
        self.loss = torch.zeros((), device=device)
        self._pass, self._orders, self._starts = -1, self.order[None], self.starts[None]
        self._replay: Callable[[], None] | None = None

    def advance(self, step: int, rate: float) -> Tensor:
        """One step at this learning rate; () the loss a click of this process' rows, without the
        prior, on the device."""
        self._hold(step)
        self.rate.fill_(rate)
        if not self.graph:
            self._step()
        elif self._replay is None:
            self._replay = self._captured()
        else:
            self._replay()
        return self.loss

    def _hold(self, step: int) -> None:
        """The batch of a step lies where the kernels read it, its rows by product."""
        number, place = self.batches.turn(step)
        if number == self._pass and len(self._orders) == 1:
            return
        if number != self._pass:
            order = torch.from_numpy(self.batches.whole(step))
            held = self.held.place[order.to(self.order.device)].int()
            self._orders = held.sort(dim=1).values[:, self.cut].contiguous()
            groups = self.held.group[self._orders]
            every = torch.arange(len(self.starts), dtype=torch.int32, device=groups.device)
            every = every.expand(len(groups), -1).contiguous()
            self._starts = torch.searchsorted(groups, every, out_int32=True)
            self._pass = number
        self.order.copy_(self._orders[place])
        self.starts.copy_(self._starts[place])
        self.rows.hold(self.starts)

    def _captured(self) -> Callable[[], None]:
        """Does the step, eagerly; the graph that does the next ones."""
        self._step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step()
        return graph.replay

    def _step(self) -> None:
        self.gradients()
        if self.processes.count > 1:
            self.processes.add(self.flat)
        self.adam.step(self.rate)

    def gradients(self) -> None:
        """Every weight's gradient of this process' rows is in `to`, without the prior's."""
        config = self.config
        beside(self.order.device, self.elements.placed, lambda: self.rows.tell(self.told))
        read = (self.elements.table, self.told, self.order)
        asked = Asked(config.comparison, self.converts, self.scale)
        self.rows.learn(*read, asked, self.elements.table_grad, self.loss, self.processes)
        self.elements.unplaced(self.to)


def _rows(
    held: layout.Held, rows: int, tuned: runs.Tuned | Literal["hopper"] | None, several: bool
) -> plain.PlainRows | runs.KernelRows | hopper.HopperRows:
    if tuned is None:
        return plain.PlainRows(held)
    if isinstance(tuned, runs.Tuned):
        return runs.KernelRows(held, rows, tuned)
    processors = torch.cuda.get_device_properties(held.clicks.device).multi_processor_count
    return hopper.HopperRows(held, processors, several, hopper.machine)


def tuned_for(held: layout.Held) -> runs.Tuned | Literal["hopper"] | None:
    """The kernels for this log on its device, None: none."""
    device = held.clicks.device
    if device.type != "cuda" or not able():
        return None
    return "hopper" if hopper.able(device) and hopper.fits(held) else runs.Tuned()


def gradients_of(network: RewardNetwork) -> tuple[Tensor, dict[str, Tensor]]:
    """One flat buffer, at 0, and each weight's gradient in it, from a multiple of 16 bytes on."""
    weights = dict(network.named_parameters())
    sizes = [-(-w.numel() // 4) * 4 for w in weights.values()]
    flat = torch.zeros(sum(sizes), device=network.bias.device)
    return flat, {
        name: part[: w.numel()].view_as(w)
        for part, (name, w) in zip(flat.split(sizes), weights.items(), strict=True)
    }


def able() -> bool:
    """Whether kernels can run where torch sees a GPU."""
    return find_spec("triton") is not None


def fused_step(
    network: RewardNetwork,
    inputs: ElementInputs,
    rows: Rows,
    config: RewardConfig,
    optimiser: Optimizer,
    batches: Batches,
    *,
    events: float,
    converts: bool,
    processes: Processes = ALONE,
) -> FusedStep | None:
    """The step for this log where it is asked for and can learn it, else None: the plain one.

    Raises ValueError where `step: fused` asks for what it can't learn, or `step` is another word.
    """
    on_gpu = rows.clicks.is_cuda
    if config.step not in ("auto", "plain", "fused"):
        raise ValueError(
            f"train_reward.options.step is {config.step!r}; expected auto, plain or fused"
        )
    if config.step == "plain" or (config.step == "auto" and not (on_gpu and able())):
        return None
    reason = layout.unfit(network, rows, inputs, config)
    if reason:
        if config.step == "fused":
            raise ValueError(
                f"the reward model's fused step can't learn this: {reason}; set train_reward.options.step to auto"
            )
        return None
    owner = layout.owners(rows, len(inputs.own))
    assert owner is not None
    held = layout.held(network, rows, inputs, owner)
    return FusedStep(
        network, held, config, optimiser, batches, events=events, converts=converts,
        processes=processes, tuned=tuned_for(held),
    )  # fmt: skip
