# pyright: basic, reportMissingImports=false, reportPrivateImportUsage=false
"""Triton kernels of the reward model's step that read no rows: the elements' table, sums, Adam.

Every sum has one order, so the same inputs give the same bits. Loaded only where triton is there;
`plain.py` holds the same functions in torch.
"""

import triton
import triton.language as tl

from model.reward.fused.halves import left_split, shares_of


@triton.jit
def together(
    table_part, product_part, begin, slots, first, count, table_grad, product_grad, code, P,
    M: tl.constexpr, W: tl.constexpr, O: tl.constexpr, K: tl.constexpr, ROWS: tl.constexpr,
    BLOCK: tl.constexpr, GRID: tl.constexpr,
):  # fmt: skip
    """The sums of each product's units: rows of table_grad where it has several, its gradient."""
    k, j, o = tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, W), tl.arange(0, O)
    b = tl.arange(0, BLOCK)
    for p in range(tl.program_id(0), P, GRID):
        start, end = tl.load(begin + p), tl.load(begin + p + 1)
        if tl.program_id(1) == 0:
            own = tl.zeros((O,), tl.float32)
            for u in range(start, end, BLOCK):
                at = product_part + (u + b).to(tl.int64)[:, None] * O + o[None, :]
                own += tl.sum(tl.load(at, mask=(u + b < end)[:, None], other=0.0), 0)
            tl.store(product_grad + tl.load(code + p) * (2 * M) + o, own, mask=o < 2 * M)
        if end - start > 1:
            found = tl.zeros((ROWS, W), tl.float32)
            slot = tl.load(slots + p).to(tl.int64)
            for n in range(end - start):
                at = table_part + (slot + n) * (K * W) + k[:, None] * W + j[None, :]
                found += tl.load(at)
            to = table_grad + (tl.load(first + p).to(tl.int64) + k)[:, None] * W + j[None, :]
            tl.store(to, found, mask=(k < tl.load(count + p))[:, None])


@triton.jit
def pooled_rows(
    begin, source, weight, table, out, N, width, ld,
    W: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """out (N, W): of each row the weighted sum of its few rows of a table (., ld)."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    ok = row < N
    start = tl.load(begin + row, mask=ok, other=0)
    held = tl.load(begin + row + 1, mask=ok, other=0) - start
    j = tl.arange(0, W)
    found = tl.zeros((ROWS, W), tl.float32)
    for n in range(tl.max(held, 0)):
        there = n < held
        at = tl.load(source + start + n, mask=there, other=0).to(tl.int64)
        share = tl.load(weight + start + n, mask=there, other=0.0)
        part = tl.load(
            table + at[:, None] * ld + j[None, :],
            mask=there[:, None] & (j < width)[None, :], other=0.0,
        )  # fmt: skip
        found += share[:, None] * part
    tl.store(out + row.to(tl.int64)[:, None] * W + j[None, :], found, mask=ok[:, None])


@triton.jit
def pooled_runs(
    begin, source, weight, table, out, width, ld, out_ld,
    W: tl.constexpr, BLOCK: tl.constexpr, DIRECT: tl.constexpr,
):  # fmt: skip
    """Row i of out: the weighted sum of rows begin[i]..begin[i + 1] of a table; DIRECT: of the
    table's own rows, each once."""
    i = tl.program_id(0).to(tl.int64)
    start, end = tl.load(begin + i), tl.load(begin + i + 1)
    j, b = tl.arange(0, W), tl.arange(0, BLOCK)
    found = tl.zeros((BLOCK, W), tl.float32)
    for n in range(start, end, BLOCK):
        there = n + b < end
        ok = there[:, None] & (j < width)[None, :]
        if DIRECT:
            found += tl.load(
                table + (n + b).to(tl.int64)[:, None] * ld + j[None, :], mask=ok, other=0.0
            )
        else:
            at = tl.load(source + n + b, mask=there, other=0).to(tl.int64)
            share = tl.load(weight + n + b, mask=there, other=0.0)
            part = tl.load(table + at[:, None] * ld + j[None, :], mask=ok, other=0.0)
            found += share[:, None] * part
    tl.store(out + i * out_ld + j, tl.sum(found, 0), mask=j < width)


@triton.jit
def placed(
    dense, dense_weights, own, own_id, shared, shared_id, words, slot_terms, slot, out, N, F, width,
    M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr, O: tl.constexpr,
    ROWS: tl.constexpr, DEEP: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """out (N, W): the table of what elements contribute, half their squared pairs taken off."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    ok = row < N
    j, f = tl.arange(0, W), tl.arange(0, DEEP)
    inside = ok[:, None] & (j < width)[None, :]
    a = tl.load(own_id + row, mask=ok, other=0).to(tl.int64)
    b = tl.load(shared_id + row, mask=ok, other=0).to(tl.int64)
    s = tl.load(slot + row, mask=ok, other=0).to(tl.int64)
    found = tl.load(own + a[:, None] * width + j[None, :], mask=inside, other=0.0)
    found += tl.load(shared + b[:, None] * width + j[None, :], mask=inside, other=0.0)
    terms = ok[:, None] & (j < 2 * M)[None, :]
    found += tl.load(words + row.to(tl.int64)[:, None] * O + j[None, :], mask=terms, other=0.0)
    found += tl.load(slot_terms + s[:, None] * (2 * M) + j[None, :], mask=terms, other=0.0)
    for n in range(0, F, DEEP):
        left = tl.load(
            dense + row.to(tl.int64)[:, None] * F + (n + f)[None, :],
            mask=ok[:, None] & (n + f < F)[None, :], other=0.0,
        )  # fmt: skip
        right = tl.load(
            dense_weights + (n + f)[:, None] * width + j[None, :],
            mask=(n + f < F)[:, None] & (j < width)[None, :], other=0.0,
        )  # fmt: skip
        found = tl.dot(left, right, found, input_precision="ieee")
    pairs = ((j >= 2 * M) & (j < 2 * M + M * R))[None, :]
    shares = shares_of(M, R, Q, W, O)
    to_click = tl.where(pairs.trans() & (shares[:, None] == j[None, :]), 0.5, 0.0).to(KIND)
    squares = tl.where(pairs, found * found, 0.0)
    found -= left_split(squares, to_click, KIND, True)
    tl.store(out + row.to(tl.int64)[:, None] * W + j[None, :], found, mask=ok[:, None])


@triton.jit
def unplaced(
    table_grad, table, own_id, own_grad, found_grad, N, width,
    M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr, O: tl.constexpr,
    ROWS: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """found_grad (N, width): the gradient of what was added up in `placed`; own_grad: its rows."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    ok = row < N
    j = tl.arange(0, W)
    at = row.to(tl.int64)[:, None] * W + j[None, :]
    grad = tl.load(table_grad + at, mask=ok[:, None], other=0.0)
    held = tl.load(table + at, mask=ok[:, None], other=0.0)
    shares = shares_of(M, R, Q, W, O)
    pairs = (j >= 2 * M) & (j < 2 * M + M * R)
    from_click = tl.where(pairs[None, :] & (j[:, None] == shares[None, :]), 1.0, 0.0).to(KIND)
    found = grad - held * left_split(grad, from_click, KIND, True)
    inside = ok[:, None] & (j < width)[None, :]
    tl.store(found_grad + row.to(tl.int64)[:, None] * width + j[None, :], found, mask=inside)
    a = tl.load(own_id + row, mask=ok, other=0).to(tl.int64)
    tl.store(own_grad + a[:, None] * width + j[None, :], found, mask=inside)


@triton.jit
def adam(
    weight, grad, mean, square, anchor, rate, step, N, width, cut, pair_end,
    term, pair, context, ANCHORED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One step of Adam on a (., width) table of N numbers, the prior's gradient added.

    Columns below cut have precision `term` around their anchors, those below pair_end `pair`, the
    rest `context`.
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    ok = i < N
    w = tl.load(weight + i, mask=ok, other=0.0)
    g = tl.load(grad + i, mask=ok, other=0.0)
    column = i % width
    off = w
    if ANCHORED:
        off = w - tl.load(anchor + i, mask=ok, other=0.0)
    g += off * tl.where(column < cut, term, tl.where(column < pair_end, pair, context))
    m = 0.9 * tl.load(mean + i, mask=ok, other=0.0) + 0.1 * g
    v = 0.98 * tl.load(square + i, mask=ok, other=0.0) + 0.02 * g * g
    done = tl.load(step)
    first = 1.0 - tl.exp(done * -0.10536051565782628)  # log 0.9
    second = 1.0 - tl.exp(done * -0.020202707317519466)  # log 0.98
    moved = tl.load(rate) / first * m / (tl.sqrt(v) / tl.sqrt(second) + 1e-8)
    tl.store(weight + i, w - moved, mask=ok)
    tl.store(mean + i, m, mask=ok)
    tl.store(square + i, v, mask=ok)
