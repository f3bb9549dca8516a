"""Several processes that learn one model, each from its part of every step's batch.

A step's batch and chance are functions of the seed and the step alone, so every process knows the
whole and takes its own part. A loss is divided by what the whole batch holds, and gradients are
summed: N processes learn what one does, up to rounding. Where a loss is not linear in its rows,
`total` and `gathered` give each process what the others counted.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

BUCKET = 8 << 20  # numbers summed at once; what is larger is summed where it lies
PATIENCE = timedelta(minutes=30)  # until a process that says nothing is given up


@dataclass(frozen=True)
class Processes:
    """This process, `rank` of `count`; every method is called by all of them in the same order."""

    rank: int = 0
    count: int = 1

    def part(self, size: int) -> slice:
        """This process' share of `size` rows; the shares differ by one row at most."""
        return slice(self.rank * size // self.count, (self.rank + 1) * size // self.count)

    def total(self, own: Tensor) -> Tensor:
        """The sum over all processes; its gradient leads to this process' part alone."""
        if self.count == 1:
            return own
        whole = own.detach().clone()
        dist.all_reduce(whole)
        return whole + (own - own.detach())

    def gathered(self, own: Tensor) -> Tensor:
        """(count, ...) what each process has, without gradients."""
        if self.count == 1:
            return own.detach()[None]
        found = own.new_empty(self.count, *own.shape)
        dist.all_gather(list(found.unbind()), own.detach().contiguous())
        return found

    def add(self, flat: Tensor) -> None:
        """The tensor is now the sum over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(flat)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Every gradient is now the sum over all processes."""
        if self.count == 1:
            return
        held = [p.grad for p in parameters if p.grad is not None]
        sums = [_Sum(bucket) for bucket in _buckets(held)]
        for one in sums:
            one.finish()

    def first(self, value: float) -> float:
        """What the first process has: decisions are its own."""
        if self.count == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(held, 0)
        return float(held)

    def told(self, content: bytes | None) -> bytes | None:
        """The bytes that the first process has."""
        if self.count == 1:
            return content
        size = int(self.first(-1 if content is None else len(content)))
        if size < 0:
            return None
        held = torch.empty(size, dtype=torch.uint8)
        if self.rank == 0 and content is not None:
            held = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        dist.broadcast(held, 0)
        return held.numpy().tobytes()

    def agree(self, digest: str) -> None:
        """Raises ValueError where the processes were given different things to learn from."""
        if self.count == 1:
            return
        own = torch.tensor([int(digest[:15], 16)])
        found = self.gathered(own)
        if not bool((found == own).all()):
            raise ValueError(
                f"the {self.count} processes of this training were given different inputs; expected "
                "the same rows, settings and code on each; give all nodes the same image and store"
            )


ALONE = Processes()


@contextmanager
def joined(rank: int, count: int, device: str) -> Iterator[Processes]:
    """This process among `count`, which torchrun's environment (MASTER_ADDR ...) brings together.

    NCCL for what lies on a GPU, gloo for the rest.
    """
    if count == 1:
        yield ALONE
        return
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=count, timeout=PATIENCE)
    try:
        yield Processes(rank, count)
    finally:
        dist.destroy_process_group()


class _Sum:
    """A bucket's sum under way, while others are filled."""

    def __init__(self, bucket: list[Tensor]) -> None:
        self.bucket = bucket
        alone = len(bucket) == 1 and bucket[0].is_contiguous()
        self.flat = bucket[0] if alone else torch.cat([part.flatten() for part in bucket])
        self.work = dist.all_reduce(self.flat, async_op=True)

    def finish(self) -> None:
        assert self.work is not None
        self.work.wait()
        if self.flat is not self.bucket[0]:
            parts = self.flat.split([part.numel() for part in self.bucket])
            for to, part in zip(self.bucket, parts, strict=True):
                to.copy_(part.view_as(to))


def _buckets(parts: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of tensors of one kind that hold at most BUCKET numbers, or a single one."""
    run: list[Tensor] = []
    for part in parts:
        full = sum(one.numel() for one in run) + part.numel() > BUCKET
        if run and (full or part.dtype != run[0].dtype):
            yield run
            run = []
        run.append(part)
    if run:
        yield run
