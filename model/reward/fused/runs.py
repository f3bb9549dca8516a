# pyright: basic, reportMissingImports=false
"""`plain.py`'s functions by the kernels, on a GPU with triton: each launch, its grid and its sizes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.reward.fused.layout import Held, Sizes, power
from model.reward.fused.plain import Asked, TwoPasses
from model.reward.fused.pooled import Pool
from model.reward.fused.told import Told
from model.reward.fused.units import Units, most_sums, most_units, units_of

ROWS = 64  # elements of a program
NUMBERS = 1024  # weights of a program of Adam


@dataclass(frozen=True)
class Tuned:
    """How the kernels run. fine: floats enter the matrix units as two numbers, not one."""

    fine: bool = True
    block: int = 64
    warps: int = 4
    a_processor: int = 2  # programs of the rows' kernels
    registers: int | None = None  # of a thread at most
    stages: int = 3


class KernelRows(TwoPasses):
    """As PlainRows, by kernels; buffers are held, so that a CUDA graph can be made of them."""

    def __init__(self, held: Held, rows: int, tuned: Tuned) -> None:
        self.held, self.rows, self.tuned = held, rows, tuned
        s, device = held.sizes, held.clicks.device
        self.kind, processors = kind_of(device)
        self.grid = min(processors * tuned.a_processor, most_units(rows, s.products))

        def room(*shape: int) -> Tensor:
            return torch.empty(shape, dtype=torch.float32, device=device)

        self.part = room(most_units(rows, s.products), 3, s.outs)
        self.level, self.fell = room(s.products, s.outs), room(s.products, s.outs)
        self.table_part = room(most_sums(rows), s.window, s.columns)
        self.product_part = room(most_units(rows, s.products), s.outs)
        self.told_part = room(self.grid, s.told, s.columns)
        self.bias_part = room(self.grid, 2, s.outs)

    def tell(self, told: Told) -> None:
        """Weights of contexts and products as they now are."""
        told.tell()

    def hold(self, starts: Tensor) -> None:
        """Learns from a batch whose product p begins at starts[p], which stays where it is."""
        self.starts = starts

    def _read(self, order: Tensor, units: Units) -> tuple[Tensor, ...]:
        h = self.held
        return (
            units.unit, units.total, order, h.local, h.context, h.clicks, h.displays, h.bought,
            h.mature, h.converted, h.weight, h.first, h.count,
        )  # fmt: skip

    def _sizes(self) -> dict[str, Any]:
        s = self.held.sizes
        return {
            "M": s.members, "R": s.rank, "Q": s.factors, "W": s.columns, "O": s.outs, "S": s.slots,
            "C": s.context, "CP": s.told, "K": s.window, "BLOCK": self.tuned.block,
            "GRID": self.grid, "KIND": self.kind, "FINE": self.tuned.fine, "EXACT": self.held.exact,
            "num_warps": self.tuned.warps, "num_stages": self.tuned.stages,
            **({"maxnreg": self.tuned.registers} if self.tuned.registers else {}),
        }  # fmt: skip

    def levels(self, table: Tensor, told: Told, order: Tensor) -> tuple[Tensor, Tensor]:
        s = self.held.sizes
        units = self.units = units_of(self.starts, self.rows)
        row_kernels().levels[(self.grid,)](
            table, told.weights, told.product, told.bias, *self._read(order, units), self.part,
            **self._sizes(),
        )  # fmt: skip
        row_kernels().level[(s.products,)](
            self.part, units.begin, self.level, self.fell, s.products, O=s.outs, BLOCK=16,
            num_warps=1,
        )  # fmt: skip
        return self.level, self.fell

    def gradients(
        self, table: Tensor, told: Told, order: Tensor, level: Tensor, fell: Tensor,
        asked: Asked, table_grad: Tensor, loss_to: Tensor,
    ) -> None:  # fmt: skip
        h, s, units, to = self.held, self.held.sizes, self.units, told.to
        row_kernels().gradients[(self.grid,)](
            table, told.weights, told.product, told.bias, *self._read(order, units), h.known,
            level, fell, float(asked.converts), asked.comparison, asked.scale, table_grad,
            self.table_part, self.product_part, self.told_part, self.bias_part, **self._sizes(),
        )  # fmt: skip
        rows, grid = min(s.window, 16), min(s.products, 2048)
        table_kernels().together[(grid, s.window // rows)](
            self.table_part, self.product_part, units.begin, units.slots, h.first, h.count,
            table_grad, to["product"], h.code, s.products, M=s.members, W=s.columns, O=s.outs,
            K=s.window, ROWS=rows, BLOCK=16, GRID=grid,
        )  # fmt: skip
        torch.sum(self.told_part, 0, out=told.grad)
        told.spread()
        whole = self.bias_part.sum(0)
        to["bias"].flatten().copy_(whole[0, : s.odds])
        loss_to.copy_(asked.scale * whole[1].sum())


def pooled_rows(pool: Pool, table: Tensor, out: Tensor, width: int) -> None:
    """The sums of few rows each: out (rows, columns)."""
    table_kernels().pooled_rows[(-(-pool.rows // ROWS),)](
        pool.row, pool.source, pool.weight, table, out, pool.rows, width, table.stride(0),
        W=out.shape[1], ROWS=ROWS,
    )  # fmt: skip


def pooled_runs(pool: Pool, table: Tensor, out: Tensor, width: int) -> None:
    """The sums of any number of rows each: out (rows, width), in two rounds where a sum is long."""
    columns, runs = power(width), len(pool.run) - 1
    short = runs == pool.rows
    part = out if short else torch.empty(runs, width, dtype=torch.float32, device=out.device)
    how: dict[str, Any] = {
        "W": columns,
        "BLOCK": min(2048 // columns, power(pool.longest)),
        "num_warps": 2,
    }
    table_kernels().pooled_runs[(runs,)](
        pool.run, pool.source, pool.weight, table, part, width, table.stride(0), part.stride(0),
        DIRECT=False, **how,
    )  # fmt: skip
    if short:
        return
    table_kernels().pooled_runs[(pool.rows,)](
        pool.runs, pool.source, pool.weight, part, out, width, width, out.stride(0), DIRECT=True,
        **how,
    )  # fmt: skip


def placed(
    sizes: Sizes, dense: Tensor, dense_weights: Tensor, own: Tensor, own_id: Tensor,
    shared: Tensor, shared_id: Tensor, words: Tensor, slot_terms: Tensor, slot: Tensor, out: Tensor,
) -> None:  # fmt: skip
    """The table of what elements contribute, by one kernel."""
    rows = len(out)
    table_kernels().placed[(-(-rows // ROWS),)](
        dense, dense_weights, own, own_id, shared, shared_id, words, slot_terms, slot, out, rows,
        dense.shape[1], width=sizes.width, M=sizes.members, R=sizes.rank, Q=sizes.factors,
        W=sizes.columns, O=sizes.outs, ROWS=ROWS, DEEP=16, KIND=kind_of(out.device)[0],
    )  # fmt: skip


def unplaced(
    sizes: Sizes, grad: Tensor, table: Tensor, own_id: Tensor, own_grad: Tensor, out: Tensor
) -> None:
    """The gradient of the sum in `placed`, and its rows in the ids' gradient."""
    rows = len(grad)
    table_kernels().unplaced[(-(-rows // ROWS),)](
        grad, table, own_id, own_grad, out, rows, width=sizes.width, M=sizes.members, R=sizes.rank,
        Q=sizes.factors, W=sizes.columns, O=sizes.outs, ROWS=ROWS, KIND=kind_of(grad.device)[0],
    )  # fmt: skip


def kind_of(device: torch.device) -> tuple[Any, int]:
    """(what the matrix units take, multiprocessors); triton's interpreter on a CPU knows no bf16."""
    import triton.language as tl

    if device.type != "cuda":
        return tl.float32, 2
    return tl.bfloat16, torch.cuda.get_device_properties(device).multi_processor_count


def row_kernels() -> Any:
    """The kernels that read rows, which need triton to be loaded."""
    from model.reward.fused import row_kernels

    return row_kernels


def table_kernels() -> Any:
    """The others."""
    from model.reward.fused import table_kernels

    return table_kernels
