# pyright: basic
"""`plain.py`'s functions over rows by kernels for Hopper's GPUs, each row read as one record."""

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.reward.fused.hopper import nvrtc, source
from model.reward.fused.layout import Held, Sizes

BLOCK, THREADS = 64, 128  # rows of a block, threads of a program
MOST_CONTEXT, MOST_SHARED, OWN_SHARED = 64, 228 * 1024, 1024  # of a multiprocessor, a program's own
COUNTED = ("clicks", "displays", "bought", "mature", "converted")


@dataclass(frozen=True)
class Tuned:
    """fine: floats enter the matrix units as two numbers, not one; programs of a multiprocessor."""

    fine: bool = True
    levels: int = 5
    gradients: int = 3


class Batch(ctypes.Structure):
    """As in rows.cuh."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in (
            "table", "told", "product", "bias", "order", "starts", "blocks", "rows", "first", "count"
        )),
        ("products", ctypes.c_int), ("grid", ctypes.c_int),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Blocks:
    """Of a batch: first row of each product, and its first block of BLOCK rows, (P + 1,) both."""

    starts: Tensor
    blocks: Tensor


def parts(held: Held) -> int:
    """How many bf16 numbers a context is held as."""
    return 1 if held.exact else 2


def fits(held: Held) -> bool:
    """Whether the kernels can learn this."""
    s = held.sizes
    return parts(held) * s.context <= MOST_CONTEXT and max(source.widths(s)) <= 128


def deep_of(held: Held) -> int:
    """Columns of one-hot rows: more than a product has elements, by 64."""
    return source.multiple(int(held.count.max()) + 1, BLOCK)


def packed(held: Held) -> Tensor:
    """(n, bytes) a record of each row: counts, weights, places of its elements, contexts."""
    counted = torch.stack([getattr(held, name) for name in COUNTED], dim=1)
    numbers = torch.cat([counted, held.weight], dim=1).contiguous().view(torch.uint8)
    local = held.local.int()
    local = torch.where(local < 0, deep_of(held) - 1, local)
    places = (local // 8 * 1024 + local % 8 * 2).short().contiguous().view(torch.uint8)
    high = held.context.bfloat16()
    both = [high] if held.exact else [high, (held.context - high.float()).bfloat16()]
    told = torch.cat(both, dim=1)
    return torch.cat([_words(numbers, places), _words(told.contiguous().view(torch.uint8))], dim=1)


def _words(*told: Tensor) -> Tensor:
    whole = torch.cat(told, dim=1)
    return torch.nn.functional.pad(whole, (0, -whole.shape[1] % 16))


class HopperRows:
    """As PlainRows, by kernels; buffers are held, so that a CUDA graph can be made of them."""

    def __init__(self, held: Held, tuned: Tuned, processors: int, machine: Any) -> None:
        """machine: what compiles and runs the source, by sizes and definitions."""
        s = self.sizes = held.sizes
        self.held, self.records = held, packed(held)
        device = held.clicks.device

        def room(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=device)

        info = source.multiple(4 * (len(COUNTED) + s.members) + 2 * s.slots, 16) // 16
        widest = max(int(held.count.max()), 1)
        self.deep = deep_of(held)
        gradients = tuned.gradients if self.deep == 64 and source.widths(s)[0] <= 72 else 2
        module = machine(s, {
            "M": s.members, "R": s.rank, "Q": s.factors, "S": s.slots, "ODDS": s.outs,
            "WIDE": s.columns, "CONTEXT": s.context, "PARTS": parts(held), "INFO": info,
            "CHUNKS": self.records.shape[1] // 16, "WINDOW": widest, "DEEP": self.deep, "FINE": int(tuned.fine),
            "LEVELS_PROGRAMS": tuned.levels, "GRADIENTS_PROGRAMS": gradients,
        })  # fmt: skip
        found = torch.zeros(2, dtype=torch.int32, device=device)
        module.kernel("shared_bytes", 1)((1, 1), found)
        shared = [int(size) for size in found]
        programs = [MOST_SHARED // (size + OWN_SHARED) for size in shared]
        self.grids = tuple(
            processors * max(1, min(most, wished))
            for most, wished in zip(programs, (tuned.levels, gradients), strict=True)
        )
        self._levels = module.kernel("levels", THREADS, shared[0])
        self._level = module.kernel("level", 256)
        self._gradients = module.kernel("gradients", THREADS, shared[1])
        self._together = module.kernel("together", 256)
        self._every = module.kernel("every", 1024, 4096)
        self.level, self.fell = room(s.products, s.outs), room(s.products, s.outs)
        self.level_part = room(2 * self.grids[0], 3, s.members)
        self.table_part = room(2 * self.grids[1], self.deep, s.columns)
        self.product_part = room(2 * self.grids[1], s.odds)
        self.told_part = room(self.grids[1], parts(held) * s.context, s.columns)
        self.bias_part = room(self.grids[1], s.odds + 1)
        self.loss = room(1)

    def cut(self, starts: Tensor) -> Blocks:
        held = (starts[1:] - starts[:-1] + BLOCK - 1) // BLOCK
        return Blocks(starts, torch.cat([starts[:1], held.cumsum(0, dtype=torch.int32)]))

    def _batch(
        self, table: Tensor, told: Tensor, product: Tensor, bias: Tensor, order: Tensor,
        cut: Blocks, grid: int,
    ) -> Batch:  # fmt: skip
        told_ = (
            table, told, product, bias, order, cut.starts, cut.blocks, self.records,
            self.held.first, self.held.count,
        )  # fmt: skip
        return Batch(*(part.data_ptr() for part in told_), self.sizes.products, grid)

    def levels(
        self, table: Tensor, told: Tensor, product: Tensor, bias: Tensor, order: Tensor,
        cut: Blocks,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        grid, s = self.grids[0], self.sizes
        batch = self._batch(table, told, product, bias, order, cut, grid)
        self._levels((grid, 1), batch, self.level, self.fell, self.level_part)
        blocks = min(-(-s.products * s.members // 256), 1024)
        self._level((blocks, 1), batch, self.level, self.fell, self.level_part)
        return self.level, self.fell

    def gradients(
        self, table: Tensor, told: Tensor, product: Tensor, bias: Tensor, order: Tensor,
        cut: Blocks, level: Tensor, fell: Tensor, comparison: float, converts: bool,
        scale: float, to: dict[str, Tensor],
    ) -> Tensor:  # fmt: skip
        grid, s, h = self.grids[1], self.sizes, self.held
        batch = self._batch(table, told, product, bias, order, cut, grid)
        self._gradients(
            (grid, 1), batch, level, fell, h.known, h.code, float(converts), float(comparison),
            float(scale), to["table"], self.table_part, to["product"], self.product_part,
            self.told_part, self.bias_part,
        )  # fmt: skip
        self._together(
            (min(s.products, 2048), self.deep // 16), batch, self.table_part, self.product_part,
            h.known, h.code, to["table"], to["product"],
        )  # fmt: skip
        self._every(
            (s.context + 1, 1), self.told_part, self.bias_part, grid, to["told"], to["bias"],
            self.loss,
        )  # fmt: skip
        return self.loss[0]


def able(device: torch.device) -> bool:
    """Whether the device runs the kernels."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) == (9, 0)


def machine(sizes: Sizes, definitions: dict[str, int]) -> nvrtc.Module:
    """The kernels compiled for the current device."""
    told = [f"-D{name}={value}" for name, value in definitions.items()]
    return nvrtc.Module(nvrtc.compiled(source.text(sizes), ["--gpu-architecture=sm_90a", *told]))
