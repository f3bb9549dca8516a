"""How fast the reward model trains on one GPU, against its floor: `python3 -m benchmarks.reward_gpu`.

Torch and model/ alone. Every version is checked against float64 on the CPU first. Then each trains
on made rows of 4 slots, 5 members and 24 context columns that lie on the device, for a catalog of
2,000 elements and one of 1,000,000.

The floor is the larger of operations over the matrix rate and bytes over the bandwidth of a copy,
both measured in the same run. Bytes: every tensor of the batch's rows and of the elements' inputs
read once, as it is held; every weight and both of its moments read and written once, anchors read
once. Nothing in between is counted: neither the table of what elements contribute nor gradients.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.device_times import ceilings, profiled
from benchmarks.generator_worlds import CONTEXT as CONTEXT_OF
from benchmarks.generator_worlds import Planted
from benchmarks.reward_made import (
    BUCKETS,
    CONFIG,
    CONTEXT,
    DENSE,
    held_bytes,
    inputs_of,
    moved,
    network_of,
    rows_of,
)  # fmt: skip
from benchmarks.reward_static import How, StaticStep, as_kind
from benchmarks.scaling_quality import nats, taught
from model.processes import ALONE
from model.reward.batches import Batches
from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs
from model.reward.fit import fit_reward
from model.reward.fused import layout
from model.reward.fused.runs import Tuned
from model.reward.fused.step import FusedStep, tuned_for
from model.reward.loss import binomial_loss, comparison_loss
from model.reward.network import RewardNetwork
from model.reward.rows import Rows

SHARE = 0.25
VERSIONS = {
    "eager": How(),
    "eager bf16": How(torch.bfloat16),
    "fp32 compiled, graph": How(compiled=True, graph=True),
    "bf16 compiled, graph": How(torch.bfloat16, compiled=True, graph=True),
}
COMPILED = "bf16 compiled, graph"
BEST = "fused"
FUSED: dict[str, Callable[[layout.Held], Any]] = {
    "fused": tuned_for,
    "fused, triton": lambda held: Tuned(),
}
TIMED = (
    (2_000, 1 << 24, (BEST,)),
    (2_000, 1 << 23, (BEST,)),
    (2_000, 1 << 22, (COMPILED, *FUSED)),
    (2_000, 1 << 20, ("eager", *FUSED)),
    (1_000_000, 1 << 24, (BEST,)),
    (1_000_000, 1 << 20, (COMPILED, *FUSED)),
    (1_000_000, 65_536, (BEST,)),
    (2_000, 65_536, (BEST,)),
)


class Fused:
    """The fused step on all rows at once, beside the others."""

    def __init__(
        self,
        network: RewardNetwork,
        inputs: ElementInputs,
        rows: Rows,
        tuned: Callable[[layout.Held], Any],
    ) -> None:
        self.network, self.inputs = network, inputs
        products, most = int(rows.group.max()) + 1, len(inputs.own)
        owner = torch.arange(most, device=rows.clicks.device) // (
            most // (len(network.product) - 1)
        )
        held = layout.held(network, rows, inputs, torch.where(owner < products, owner, -1))
        self.rows = as_kind(rows, torch.bfloat16)
        config = RewardConfig(buckets=BUCKETS, dispersion=1.0, batch=len(rows.clicks))
        optimiser = torch.optim.Adam(network.parameters(), fused=True)
        codes = rows.group.cpu().numpy()
        self.step = FusedStep(
            network, held, config, optimiser, Batches(codes, config, 0), events=1 / 7,
            converts=True, tuned=tuned(held),
        )  # fmt: skip
        kept = getattr(self.step.rows, "records", None)
        parts = [getattr(held, name) for name in layout.ROWS] if kept is None else [kept]
        self.read = sum(map(held_bytes, parts)) + 4.0 * len(rows.clicks)
        self.found = self.step.loss

    def run(self) -> None:
        self.step.advance(0, CONFIG.learning_rate)


def truth(
    network: RewardNetwork, inputs: ElementInputs, rows: Rows, groups: int, total: int
) -> tuple[Tensor, Tensor]:
    """(loss, all gradients) of the production network's own code, in float64 on the CPU."""
    network = network.double()
    inputs, rows = moved(inputs, "cpu", torch.float64), moved(rows, "cpu", torch.float64)
    outputs = network.elements(inputs)
    logits, within = network.logits(outputs, rows.batch)
    weight = rows.weight * rows.mature[:, None]
    level = binomial_loss(logits, rows.clicks, rows.displays, weight)
    apart = comparison_loss(within, rows.clicks, rows.displays, weight, rows.group, groups)
    after, _ = network.logits(outputs, rows.batch, head=1)
    loss = 0.5 * level + 0.5 * apart
    final = rows.weight * rows.converted[:, None]
    loss = loss + binomial_loss(after, rows.conversions, rows.clicks, final)
    whole = (loss * (total / len(rows.clicks)) + network.penalty(CONFIG)).sum()
    whole.backward()
    return whole.detach(), gradients(network)


def gradients(network: RewardNetwork) -> Tensor:
    """All gradients in one vector."""
    held = [p.grad if p.grad is not None else torch.zeros_like(p) for p in network.parameters()]
    return torch.cat([g.detach().double().cpu().flatten() for g in held])


def checked(size: int, device: str, seed: int, versions: dict[str, How]) -> None:
    """Prints how far each version lies from float64, these and the fused ones."""
    elements, products = 800, 20
    rows, inputs = rows_of(size, elements, products, seed, device), inputs_of(elements, seed)
    exact, slope = truth(network_of(elements, products, seed), inputs, rows, products, 7 * size)
    for name, how in versions.items():
        if how.compiled and (device == "cpu" or name != COMPILED):
            continue
        network = network_of(elements, products, seed).to(device)
        step = StaticStep(
            network, inputs.to(device), as_kind(rows, how.kind), CONFIG, products, 7 * size, how
        )
        loss, found = step.gradients(), gradients(network)
        off = float((found - slope).norm() / slope.norm())
        bad = abs(float(loss) / float(exact) - 1)
        print(f"check {name:22s} loss {bad:.1e}  gradient {off:.1e}", flush=True)
        assert off < 2e-2, f"{name} is wrong"
    prior = network_of(elements, products, seed).double()
    loss = prior.penalty(CONFIG).sum()
    loss.backward()
    here = device != "cpu"
    for name, tuned in {**(FUSED if here else {}), "fused, torch": lambda held: None}.items():
        network = network_of(elements, products, seed).to(device)
        step = Fused(network, inputs.to(device), rows, tuned).step
        step._hold(0)
        step.gradients()
        told = [step.to[n].detach().double().cpu().flatten() for n, _ in network.named_parameters()]
        off = float((torch.cat(told) + gradients(prior) - slope).norm() / slope.norm())
        bad = abs((float(step.loss) + float(loss.detach())) / float(exact) - 1)
        print(f"check {name:22s} loss {bad:.1e}  gradient {off:.1e}", flush=True)
        assert off < 2e-2, f"{name} is wrong"


def floor_of(step: Any, rate: float, bandwidth: float) -> tuple[float, float, float]:
    """(seconds, operations, bytes) that a step takes at least."""
    rows, network, inputs = step.rows, step.network, step.inputs
    size, m = len(rows.clicks), network.members
    width = m * (2 + network.context_rank)
    operations = 6.0 * size * CONTEXT * width + 6.0 * len(inputs.own) * DENSE * network.width
    weights = sum(p.numel() for p in network.parameters())
    anchors = sum(b.numel() for b in network.buffers())
    moved_bytes = held_bytes(rows) + held_bytes(inputs) + 24.0 * weights + 4.0 * anchors
    return max(operations / rate, moved_bytes / bandwidth), operations, moved_bytes


def timed(name: str, elements: int, size: int, ceiling: tuple[float, float]) -> None:
    """Prints one line; a version that does not run says why and the rest go on."""
    products = max(elements // 40, 1)
    torch._dynamo.reset()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    try:
        rows = rows_of(size, elements, products, 5, "cuda")
        network = network_of(elements, products, 5).cuda()
        inputs = inputs_of(elements, 5).to("cuda")
        if name in FUSED:
            step: Any = Fused(network, inputs, rows, FUSED[name])
        else:
            how = VERSIONS[name]
            rows = as_kind(rows, how.kind)
            step = StaticStep(network, inputs, rows, CONFIG, products, 7 * size, how)
        for _ in range(2):
            step.run()
        torch.cuda.synchronize()
        ready = time.perf_counter() - began
        first = milliseconds_quietly(step)
        again = milliseconds_quietly(step)
        assert bool(torch.isfinite(step.found)), "the loss is no number"
    except Exception as error:
        torch.cuda.set_sync_debug_mode("default")
        print(f"time  {name:22s} B {size}: {type(error).__name__}: {str(error)[:400]}", flush=True)
        return
    least, operations, moved_bytes = floor_of(step, *ceiling)
    if isinstance(step, Fused):
        twice = (moved_bytes - held_bytes(step.rows) + 2 * step.read) / ceiling[1]
        print(f"      rows as the kernels read them, twice: {twice * 1e3:.3f} ms", flush=True)
    spent = min(first, again) / 1e3
    print(
        f"time  {name:22s} elements {elements:9,d}  B {size:9,d}  {first:8.3f} ms, again "
        f"{again:8.3f}  {size / spent:14,.0f} rows/s  floor {least * 1e3:7.3f} ms "
        f"({moved_bytes / 1e6:,.0f} MB, {operations / 1e9:,.1f} GFLOP)  {least / spent:6.1%} of the "
        f"floor  peak {torch.cuda.max_memory_allocated() / 2**30:5.2f} GiB  (ready in {ready:.0f} s)",
        flush=True,
    )  # fmt: skip
    if name == BEST:
        profiled(step, rows=9)


def milliseconds_quietly(step: Any) -> float:
    """Median of device times; a host sync inside a step is an error."""
    found = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.set_sync_debug_mode("error")
        start.record()
        step.run()
        end.record()
        torch.cuda.set_sync_debug_mode("default")
        end.synchronize()
        found.append(start.elapsed_time(end))
    return statistics.median(found)


def learned(device: str, size: int = 60_000) -> None:
    """Prints what trainings of a log end with: on the CPU and here, again, and killed and resumed."""
    world = Planted.of(20, 5, 7)
    log, held = world.log(size, 8), world.log(size // 2, 9)
    found, ends = {}, {}
    for name, where in (("cpu", "cpu"), ("here", device), ("again", device)):
        began = time.perf_counter()
        found[name] = taught(world, log, 0, where, ALONE)
        ends[name] = nats(found[name], held, world)
        spent = time.perf_counter() - began
        print(
            f"learned {name:6s} {spent:6.1f} s  held-out nats {ends[name].mean():.6f}", flush=True
        )
    off = ends["here"] - ends["cpu"]
    wide = 1.96 * off.std() / len(off) ** 0.5
    print(f"here - cpu: {off.mean():+.2e} +- {wide:.1e} nats a display")
    cut = resumed(world, log, device)
    print(f"again, the same bits: {same(found['here'], found['again'])}; killed after step 100 and "
          f"resumed, the same bits: {same(found['here'], cut)}", flush=True)  # fmt: skip


def resumed(world: Planted, log: Any, device: str) -> Any:
    """What a training ends with that is stopped once its first checkpoint of step 100 is written."""
    late = np.arange(len(log)) >= len(log) * 7 // 8
    parts = [log.take(np.flatnonzero(part)) for part in (~late, late)]
    config, written = RewardConfig(dispersion=1.0), []

    def stop(path: Path) -> None:
        written.append(path)
        if len(written) == 10:
            raise KeyboardInterrupt

    with tempfile.TemporaryDirectory() as folder:
        given = {"seed": 0, "device": device, "checkpoint": Path(folder) / "reward"}
        told = (*parts, world.elements, CONTEXT_OF, config)
        with suppress(KeyboardInterrupt):
            fit_reward(*told, **given, saved=stop)
        return fit_reward(*told, **given)


def same(one: Any, other: Any) -> bool:
    """Whether two models have the same bits."""
    a, b = one.state()[0], other.state()[0]
    return all(torch.equal(a[name], b[name]) for name in a)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="cpu: the checks alone")
    parser.add_argument("--seconds", type=float, default=240, help="no line is begun after so long")
    parser.add_argument("--fused", action="store_true", help="the fused versions alone")
    asked = parser.parse_args()
    began = time.perf_counter()
    versions = {} if asked.fused else VERSIONS
    checked(3000, asked.device, int(time.time()) % 1000, versions)
    learned(asked.device, 60_000 if asked.device == "cuda" else 3_000)
    if asked.device == "cpu":
        return
    ceiling = ceilings()
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {ceiling[0] / 1e12:.0f} TFLOP/s "
        f"bf16 matmul, {ceiling[1] / 1e12:.2f} TB/s copy", flush=True
    )  # fmt: skip
    for elements, size, names in TIMED:
        for name in names:
            asked_for = name in FUSED or not asked.fused
            if asked_for and time.perf_counter() - began < asked.seconds:
                timed(name, elements, size, ceiling)


if __name__ == "__main__":
    main()
