# pyright: basic
"""`plain.py`'s functions over rows by kernels for Hopper's GPUs, each row read as one record."""

import ctypes
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.reward.fused.beside import beside
from model.reward.fused.hopper import nvrtc, source
from model.reward.fused.hopper.records import info_words, parts, records, seen, widest
from model.reward.fused.layout import Held, Sizes, bare
from model.reward.fused.plain import Asked
from model.reward.fused.told import Told

BLOCK, THREADS = 64, 128  # rows of a block, threads of a program
FEW_SUMS, MOST_SUMS = 96, 192  # more do not fit in the registers of three programs, of two
SHARED, OWN_SHARED = 228 * 1024, 1024  # bytes: of a multiprocessor, of a program beside its own


@dataclass(frozen=True)
class Tuned:
    """fine: rows' slopes enter the matrix units as two bf16 numbers, not one, as weights always do;
    programs of each kernel on a multiprocessor."""

    fine: bool = True
    levels: int = 4
    gradients: int = 3


class Batch(ctypes.Structure):
    """As in rows.cuh."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in (
            "table", "told", "product", "bias", "order", "starts", "blocks", "rows", "first", "count"
        )),
        ("products", ctypes.c_int), ("grid", ctypes.c_int),
    )  # fmt: skip


class Places(ctypes.Structure):
    """`Told` of sums.cuh."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("context", "mixing", "history")),
        ("width", ctypes.c_int),
    )

    @staticmethod
    def of(context: Tensor, mixing: Tensor, history: Tensor, width: int) -> "Places":
        return Places(context.data_ptr(), mixing.data_ptr(), history.data_ptr(), width)


def sums(held: Held) -> int:
    """Twice the registers of a thread that hold sums: of slopes, by 64 elements and contexts each."""
    return -(-seen(held) // 64) * source.widths(held.sizes)[2]


def fits(held: Held) -> bool:
    """Whether the kernels can learn this."""
    return sums(held) <= MOST_SUMS and held.sizes.context > 0


class HopperRows:
    """As PlainRows, by kernels; buffers are held, so that a CUDA graph can be made of them."""

    def __init__(self, held: Held, tuned: Tuned, processors: int, machine: Any) -> None:
        """machine: what compiles and runs the source, by sizes and definitions."""
        s = self.sizes = held.sizes
        self.held, self.records = bare(held), records(held)
        device, self.deep = held.clicks.device, source.multiple(widest(held), 8)
        wished = (tuned.levels, tuned.gradients) if sums(held) <= FEW_SUMS else (3, 2)
        module = machine(s, {
            "M": s.members, "R": s.rank, "Q": s.factors, "S": s.slots, "ODDS": s.outs,
            "WIDE": s.columns, "CONTEXT": s.context, "PARTS": parts(held),
            "INFO": info_words(held), "CHUNKS": self.records.shape[1] // 16,
            "WINDOW": widest(held), "FINE": int(tuned.fine),
            "LEVELS_PROGRAMS": wished[0], "GRADIENTS_PROGRAMS": wished[1],
        })  # fmt: skip
        found = torch.zeros(2, dtype=torch.int32, device=device)
        module.kernel("shared_bytes", 1)((1, 1), found)
        shared = [int(size) for size in found]
        self.grids = tuple(
            processors * max(1, min(SHARED // (size + OWN_SHARED), most))
            for size, most in zip(shared, wished, strict=True)
        )
        self._levels = module.kernel("levels", THREADS, shared[0])
        self._level = module.kernel("level", 256)
        self._gradients = module.kernel("gradients", THREADS, shared[1])
        self._together = module.kernel("together", 256)
        self._spread = module.kernel("spread", 1024, 4096)
        self._tell = module.kernel("tell", 256)

        def room(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=device)

        self.blocks = torch.zeros(s.products + 1, dtype=torch.int32, device=device)
        self.level, self.fell = room(s.products, s.outs), room(s.products, s.outs)
        self.level_part = room(2 * self.grids[0], 3, s.members)
        self.table_part = room(2 * self.grids[1], self.deep, s.columns)
        self.product_part = room(2 * self.grids[1], s.odds)
        self.told_part = room(self.grids[1], parts(held) * s.context, s.columns)
        self.bias_part = room(self.grids[1], s.odds + 1)

    def hold(self, starts: Tensor) -> None:
        """Learns from a batch whose product p begins at starts[p], which stays where it is."""
        self.starts = starts
        held = (starts[1:] - starts[:-1] + BLOCK - 1) // BLOCK
        torch.cumsum(held, 0, dtype=torch.int32, out=self.blocks[1:])

    def tell(self, told: Told) -> None:
        """Weights of contexts and products as they now are."""
        network, s, h = told.network, self.sizes, self.held
        numbers = max(s.products * s.outs, s.context * s.columns)
        self._tell(
            (min(-(-numbers // 256), 1024), 1),
            Places.of(network.context, network.mixing, network.history, told.width),
            network.bias, network.product, h.code, h.known, s.products, told.weights, told.bias,
            told.product,
        )  # fmt: skip

    def _batch(self, table: Tensor, told: Told, order: Tensor, grid: int) -> Batch:
        read = (
            table, told.weights, told.product, told.bias, order, self.starts, self.blocks,
            self.records, self.held.first, self.held.count,
        )  # fmt: skip
        return Batch(*(part.data_ptr() for part in read), self.sizes.products, grid)

    def levels(self, table: Tensor, told: Told, order: Tensor) -> tuple[Tensor, Tensor]:
        grid, s = self.grids[0], self.sizes
        batch = self._batch(table, told, order, grid)
        self._levels((grid, 1), batch, self.level, self.fell, self.level_part)
        blocks = min(-(-s.products * s.members // 256), 1024)
        self._level((blocks, 1), batch, self.level, self.fell, self.level_part)
        return self.level, self.fell

    def gradients(
        self, table: Tensor, told: Told, order: Tensor, level: Tensor, fell: Tensor,
        asked: Asked, table_grad: Tensor, loss_to: Tensor,
    ) -> None:  # fmt: skip
        grid, s, h, to = self.grids[1], self.sizes, self.held, told.to
        batch = self._batch(table, told, order, grid)
        self._gradients(
            (grid, 1), batch, level, fell, h.known, h.code, float(asked.converts),
            float(asked.comparison), float(asked.scale), table_grad, self.table_part,
            to["product"], self.product_part, self.told_part, self.bias_part,
        )  # fmt: skip
        places = Places.of(to["context"], to["mixing"], to["history"], told.width)
        beside(
            order.device,
            lambda: self._together(
                (min(s.products, 2048), self.deep // 8), batch, self.table_part,
                self.product_part, h.known, h.code, table_grad, to["product"],
            ),
            lambda: self._spread(
                (s.context + 1, 1), self.told_part, self.bias_part, grid, places, to["bias"],
                loss_to,
            ),
        )  # fmt: skip


def able(device: torch.device) -> bool:
    """Whether the device runs the kernels, and what compiles them is there."""
    hopper = device.type == "cuda" and torch.cuda.get_device_capability(device) == (9, 0)
    return hopper and nvrtc.there()


def machine(sizes: Sizes, definitions: dict[str, int]) -> nvrtc.Module:
    """The kernels compiled for the current device. Raises RuntimeError where that can't be done."""
    told = [f"-D{name}={value}" for name, value in definitions.items()]
    try:
        code = nvrtc.compiled(source.text(sizes), ["--gpu-architecture=sm_90a", *told])
        return nvrtc.Module(code)
    except RuntimeError as error:
        raise RuntimeError(
            "the reward model's kernels for this GPU can't be compiled with "
            f"torch {torch.__version__}: {error}; set train_reward.options.step to plain"
        ) from error
