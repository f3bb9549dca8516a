"""Training rows a second beside a plain PyTorch loop over the same rows with the same network.

The plain loop has a Dataset that gives a row, a DataLoader that shuffles and collates, and Adam on
all weights; it is timed with and without worker processes, and the faster one counts. Ours is the
training step of `fit_reward`. Both begin with the log's rows as tensors; how long it takes to get
there from Parquet is told as well.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.reward.shop import KINDS, World, make_world
from benchmarks.reward.table import number, table, target
from model.bags import Bags, read_bags
from model.determinism import deterministic
from model.reward.compact import only_used
from model.reward.config import RewardConfig
from model.reward.encoding import ElementInputs, Encoding
from model.reward.encoding_fit import fit_encoding
from model.reward.loss import binomial_loss, comparison_loss
from model.reward.network import Batch, RewardNetwork
from model.reward.rows import Rows, member_weights, rows_of
from model.reward.training import Learner, Lesson

AIM = 5.0
STEPS = 30  # of ours a round
PLAIN_STEPS = 3
ROUNDS = 3
WORKERS = (0, 2)


@dataclass(frozen=True, eq=False)
class Course:
    """A log ready to be learned from."""

    world: World
    log: Bags
    encoding: Encoding
    inputs: ElementInputs
    rows: Rows
    config: RewardConfig

    def network(self) -> RewardNetwork:
        network = RewardNetwork(self.encoding, self.config)
        network.start(self.config, torch.Generator().manual_seed(0))
        return network


def course(seed: int, products: int, displays: int) -> Course:
    """A log of the simulated shop."""
    world, config = make_world(seed, products), RewardConfig(dispersion=1.0)
    log = world.log(displays, 1)
    shown = np.unique(log.element[log.element >= 0])
    encoding = fit_encoding(
        world.elements, shown, log, KINDS, config.buckets, config.bins, config.landmarks
    )  # fmt: skip
    inputs = encoding.element_inputs(world.elements.take(shown))
    weight = member_weights(log, config.members, np.random.default_rng(0))
    return Course(
        world, log, encoding, inputs, rows_of(encoding, log, shown, weight, "cpu"), config
    )


class OneRow(Dataset[tuple[Tensor, ...]]):
    """A row at a time."""

    def __init__(self, rows: Rows) -> None:
        b = rows.batch
        self.columns = (*vars(b).values(), *(getattr(rows, f.name) for f in fields(rows)[1:]))

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, row: int) -> tuple[Tensor, ...]:
        return tuple(column[row] for column in self.columns)


def plain_loop(given: Course, workers: int) -> Iterator[int]:
    """Rows learned from, step by step."""
    network, config = given.network(), given.config
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=(0.9, 0.98))
    rows_one_by_one: Dataset[tuple[Tensor, ...]] = OneRow(given.rows)
    loader = DataLoader(rows_one_by_one, batch_size=config.batch, shuffle=True, num_workers=workers)
    total, groups = len(given.rows.clicks), int(given.rows.group.max()) + 1
    while True:
        for columns in loader:
            width = len(fields(Batch))
            rows = Rows(Batch(*columns[:width]), *columns[width:])
            outputs = network.elements(given.inputs)
            logits, within = network.logits(outputs, rows.batch)
            weight = rows.weight * rows.mature[:, None]
            loss = 0.5 * binomial_loss(logits, rows.clicks, rows.displays, weight)
            loss = loss + 0.5 * comparison_loss(
                within, rows.clicks, rows.displays, weight, rows.group, groups
            )
            after, _ = network.logits(outputs, rows.batch, head=1)
            final = rows.weight * rows.converted[:, None]
            loss = loss + binomial_loss(after, rows.conversions, rows.clicks, final)
            loss = loss * (total / len(rows.clicks)) + network.penalty(config)
            optimiser.zero_grad()
            loss.sum().backward()
            optimiser.step()
            yield len(rows.clicks)


def our_loop(given: Course) -> Iterator[int]:
    """Rows learned from, step by step."""
    network = given.network()
    with deterministic("cpu"), only_used(network, given.inputs) as used:
        lesson = Lesson(given.inputs, given.rows, None, given.log.product_id).renamed(used)
        learner = Learner(network, lesson, given.config, 0)
        while True:
            learner.advance()
            learner.done %= given.config.steps
            yield learner.batches.size


def rate(loop: Iterator[int], steps: int) -> float:
    """Rows a second of the next steps."""
    began, rows = time.perf_counter(), 0
    for _ in range(steps):
        rows += next(loop)
    return rows / (time.perf_counter() - began)


def from_parquet(given: Course, folder: Path) -> tuple[float, float]:
    """(rows a second from a Parquet file to bags, and from bags to tensors)."""
    file = folder / "log.parquet"
    pq.write_table(_table(given.log, given.world), file, compression="zstd")
    began = time.perf_counter()
    bags = read_bags(pq.ParquetFile(file).read(), given.world.elements, KINDS)
    read = time.perf_counter()
    shown = np.unique(bags.element[bags.element >= 0])
    weight = member_weights(bags, given.config.members, np.random.default_rng(0))
    rows_of(given.encoding, bags, shown, weight, "cpu")
    return len(bags) / (read - began), len(bags) / (time.perf_counter() - read)


def _table(log: Bags, world: World) -> pa.Table:
    elements, here = world.elements, log.element >= 0
    slot = np.nonzero(here)[1]
    entries = pa.StructArray.from_arrays(
        [
            pa.array(np.array(elements.slots, object)[slot], pa.string()),
            pa.array(elements.element_id[log.element[here]], pa.string()),
        ],
        names=["slot", "element"],
    )
    offsets = pa.array(np.concatenate([[0], np.cumsum(here.sum(1))]).astype(np.int32))
    columns = [pa.array(log.context[n], _kind(k)) for n, k in KINDS.items()]
    return pa.table(
        {
            "product_id": pa.array(log.product_id, pa.string()),
            "cluster_id": pa.array(log.cluster_id, pa.string()),
            "creative": pa.ListArray.from_arrays(offsets, entries),
            "context": pa.StructArray.from_arrays(columns, names=list(KINDS)),
            "impressions": log.impressions,
            "clicks": log.clicks,
            "conversions": log.conversions,
        }
    )


def _kind(kind: str) -> pa.DataType:
    return pa.float64() if kind == "number" else pa.string()


def report(seed: int, products: int, displays: int, threads: int) -> str:
    """The table; rounds alternate, the median round counts."""
    torch.set_num_threads(threads)
    given = course(seed, products, displays)
    loops: dict[str, tuple[Iterator[int], int]] = {"ours": (our_loop(given), STEPS)}
    for workers in WORKERS:
        name = f"plain loop, {workers} workers"
        loops[name] = (plain_loop(given, workers), PLAIN_STEPS)
    for loop, _ in loops.values():
        next(loop)
    found = {name: [] for name in loops}
    for _ in range(ROUNDS):
        for name, (loop, steps) in loops.items():
            found[name].append(rate(loop, steps))
    medians = {name: float(np.median(rates)) for name, rates in found.items()}
    with tempfile.TemporaryDirectory() as folder:
        read, made = from_parquet(given, Path(folder))
    best = max(value for name, value in medians.items() if name != "ours")
    rows = [
        (name, f"{value:,.0f}", number(value / best, 2), _span(found[name]))
        for name, value in medians.items()
    ]
    title = (
        f"Training rows a second, {threads} threads: {len(given.log):,} rows, "
        f"{len(given.inputs.own):,} elements, batches of {given.config.batch:,}, "
        f"{given.config.members} members"
    )
    lines = [
        table(title, ("way", "rows a second", "of the faster plain loop", "rounds"), rows),
        "",
        target(
            medians["ours"] >= AIM * best,
            f"{medians['ours'] / best:.1f} times the plain loop ({AIM:.0f})",
        ),
        f"From Parquet to bags {read:,.0f} rows a second, from bags to tensors {made:,.0f}.",
    ]
    return "\n".join(lines)


def _span(rates: list[float]) -> str:
    return f"{min(rates):,.0f} to {max(rates):,.0f}"
