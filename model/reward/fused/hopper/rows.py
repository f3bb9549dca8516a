# pyright: basic
"""`plain.py`'s gradients over rows by kernels for Hopper's GPUs: one pass, each row one record."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from model.processes import Processes
from model.reward.fused.beside import beside
from model.reward.fused.hopper import nvrtc, source
from model.reward.fused.hopper.records import info_words, parts, records, seen, widest
from model.reward.fused.layout import Held, Sizes, bare
from model.reward.fused.plain import Asked
from model.reward.fused.told import Told

BLOCK, GROUP = 64, 128  # rows of a block, threads of a warpgroup
FEW_SUMS, MOST_SUMS = 96, 192  # registers of a thread that sums, beside three finders, beside two
REGISTERS = 232  # of a thread that sums more than FEW_SUMS
MOST_COLUMNS = 256  # of one product of the matrix units
MOST_SHARED, SMALL = 227 * 1024, 8192  # bytes: of a program, of what is small in it


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


class Found(ctypes.Structure):
    """As in sums.cuh."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in (
            "table", "product", "pieces", "told", "totals", "held", "contexts", "bias"
        )),
        ("apart", ctypes.c_int),
    )  # fmt: skip


class Weighed(ctypes.Structure):
    """`Asked` of slopes.cuh."""

    _fields_ = tuple((name, ctypes.c_float) for name in ("converts", "comparison", "scale"))


def sums(held: Held) -> int:
    """Registers of a thread that hold sums: of slopes, by 64 elements and contexts each."""
    return -(-seen(held) // 64) * source.widths(held.sizes)[2]


def finders(held: Held) -> int:
    """Warpgroups that find slopes, beside the one that sums them."""
    return 3 if sums(held) <= FEW_SUMS else 2


def shared(held: Held) -> int:
    """Bytes of shared memory that sizes.cuh lays out, at most."""
    own, told, slopes = source.widths(held.sizes)
    elements = source.multiple(widest(held), 16)
    contexts = source.multiple(parts(held) * held.sizes.context, 16)
    stage = (seen(held) + 8) * BLOCK * 2 + BLOCK * info_words(held) * 16
    each = 4 * elements * own + 4 * BLOCK * slopes + 2 * stage
    behind = max(source.multiple(seen(held), 64) * BLOCK * 2 - stage, 0)
    return finders(held) * each + 4 * contexts * told + behind + SMALL


def fits(held: Held) -> bool:
    """Whether the kernels can learn this."""
    few = sums(held) <= MOST_SUMS and 2 * source.widths(held.sizes)[2] <= MOST_COLUMNS
    return few and shared(held) <= MOST_SHARED and held.sizes.context > 0


class HopperRows:
    """As PlainRows, by kernels; buffers are held, so that a CUDA graph can be made of them."""

    def __init__(self, held: Held, processors: int, several: bool, machine: Any) -> None:
        """several: other processes have rows of the same products; machine: what compiles and runs
        the source, by sizes and definitions."""
        s = self.sizes = held.sizes
        self.held, self.records = bare(held), records(held)
        device, self.deep = held.clicks.device, source.multiple(widest(held), 8)
        few = sums(held) <= FEW_SUMS
        module = machine(s, {
            "M": s.members, "R": s.rank, "Q": s.factors, "S": s.slots, "ODDS": s.outs,
            "WIDE": s.columns, "CONTEXT": s.context, "PARTS": parts(held),
            "INFO": info_words(held), "CHUNKS": self.records.shape[1] // 16,
            "WINDOW": widest(held), "FINDERS": finders(held), "REGISTERS": 0 if few else REGISTERS,
        })  # fmt: skip
        taken = torch.zeros(1, dtype=torch.int32, device=device)
        module.kernel("shared_bytes", 1)((1, 1), taken)
        self.shared = int(taken)
        self._gradients = module.kernel("gradients", (finders(held) + 1) * GROUP, self.shared)
        self._settle = module.kernel("settle", 256)
        self._together = module.kernel("together", 256)
        self._weigh = module.kernel("weigh", 256)
        self._spread = module.kernel("spread", 1024, 4096)
        self._tell = module.kernel("tell", 256)

        def room(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float32, device=device)

        self.grid, self.several = processors, several
        slots = processors + s.products if several else 2 * processors
        told = parts(held) * s.context
        self.blocks = torch.zeros(s.products + 1, dtype=torch.int32, device=device)
        self.settled = room(s.products, s.odds)
        self.holders = torch.zeros(s.products, 2, dtype=torch.int32, device=device)
        self.pieces = room(slots, 2, self.deep, s.columns)
        self.told = room(slots, told, s.columns)
        self.totals = room(slots, 2 * s.odds)
        self.pieces_of = torch.zeros(processors, 4, dtype=torch.int32, device=device)
        self.contexts = room(processors, told, s.columns)
        self.bias = room(processors, s.odds + 1)

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

    def learn(
        self, table: Tensor, told: Told, order: Tensor, asked: Asked, table_grad: Tensor,
        loss_to: Tensor, processes: Processes,
    ) -> None:  # fmt: skip
        """As TwoPasses.learn."""
        s, h, to, grid = self.sizes, self.held, told.to, (self.grid, 1)
        read = (
            table, told.weights, told.product, told.bias, order, self.starts, self.blocks,
            self.records, h.first, h.count,
        )  # fmt: skip
        batch = Batch(*(part.data_ptr() for part in read), s.products, self.grid)
        weighed = Weighed(float(asked.converts), asked.comparison, asked.scale)
        written = (
            table_grad, to["product"], self.pieces, self.told, self.totals, self.pieces_of,
            self.contexts, self.bias,
        )  # fmt: skip
        found = Found(*(part.data_ptr() for part in written), int(self.several))
        self._gradients(grid, batch, weighed, found, h.known, h.code)
        blocks = min(-(-s.products * s.members // 256), 1024)
        self._settle((blocks, 1), batch, found, self.settled, self.holders)
        if self.several:
            processes.add(self.settled)
        places = Places.of(to["context"], to["mixing"], to["history"], told.width)

        def spread() -> None:
            parts = -(-self.contexts[0].numel() // 256)
            self._weigh((self.grid, parts), weighed, found, self.settled, self.holders)
            self._spread((s.context + 1, 1), found, self.grid, places, to["bias"], loss_to)

        beside(
            order.device,
            spread,
            lambda: self._together(
                (min(s.products, 2048), self.deep // 8), batch, weighed, found, self.settled,
                self.holders, h.known, h.code,
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
