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
    dense, dense_weights, own, own_id, shared, shared_id, words, slot_terms, slot, out, N, F,
    width: tl.constexpr, M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr,
    O: tl.constexpr, ROWS: tl.constexpr, DEEP: tl.constexpr, KIND: tl.constexpr,
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
    table_grad, table, own_id, own_grad, found_grad, N,
    width: tl.constexpr, M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr,
    O: tl.constexpr, ROWS: tl.constexpr, KIND: tl.constexpr,
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
def _moved(
    weight, grad, mean, square, anchor, i, ok, column, cut, pair_end, term, pair, context, rate, done
):  # fmt: skip
    """Adam's step of a block of one weight's numbers."""
    own, slope = tl.multiple_of(weight + i, 16), tl.multiple_of(grad + i, 16)
    first_at, second_at = tl.multiple_of(mean + i, 16), tl.multiple_of(square + i, 16)
    w, g = tl.load(own, mask=ok), tl.load(slope, mask=ok)
    off = w
    if anchor.to(tl.int64) != 0:
        off = w - tl.load(tl.multiple_of(anchor + i, 16), mask=ok)
    g += off * tl.where(column < cut, term, tl.where(column < pair_end, pair, context))
    m = 0.9 * tl.load(first_at, mask=ok) + 0.1 * g
    v = 0.98 * tl.load(second_at, mask=ok) + 0.02 * g * g
    first = 1.0 - tl.exp(done * -0.10536051565782628)  # log 0.9
    second = 1.0 - tl.exp(done * -0.020202707317519466)  # log 0.98
    moved = rate / first * m / (tl.sqrt(v) / tl.sqrt(second) + 1e-8)
    tl.store(own, w - moved, mask=ok)
    tl.store(first_at, m, mask=ok)
    tl.store(second_at, v, mask=ok)


@triton.jit
def adam(
    places, sizes, precisions, weight_of, block_of, rate, step, BLOCK: tl.constexpr,
):  # fmt: skip
    """One step of Adam on several weights, each prior's gradient added.

    Of weight n: places (n, 5) addresses, multiples of 16, of it, its gradient, moments and anchor
    (0: none); sizes (n, 4) numbers, columns, and the columns below which precisions (n, 3) are the
    first and the second, around anchors. Program i does block block_of[i] of weight weight_of[i].
    """
    n = tl.load(weight_of + tl.program_id(0))
    start = tl.load(block_of + tl.program_id(0)).to(tl.int64) * BLOCK
    i = start + tl.arange(0, BLOCK)
    kind: tl.constexpr = tl.pointer_type(tl.float32)
    weight = tl.load(places + 5 * n).to(kind)
    grad = tl.load(places + 5 * n + 1).to(kind)
    mean = tl.load(places + 5 * n + 2).to(kind)
    square = tl.load(places + 5 * n + 3).to(kind)
    anchor = tl.load(places + 5 * n + 4).to(kind)
    numbers, width = tl.load(sizes + 4 * n), tl.load(sizes + 4 * n + 1)
    column = ((start % width).to(tl.int32) + tl.arange(0, BLOCK)) % width.to(tl.int32)
    cut, pair_end = tl.load(sizes + 4 * n + 2), tl.load(sizes + 4 * n + 3)
    term, pair = tl.load(precisions + 3 * n), tl.load(precisions + 3 * n + 1)
    context = tl.load(precisions + 3 * n + 2)
    rate, done = tl.load(rate), tl.load(step)
    if start + BLOCK <= numbers:  # without a mask, so that 16 bytes are read at once
        _moved(
            weight, grad, mean, square, anchor, i, None, column, cut, pair_end, term, pair,
            context, rate, done,
        )  # fmt: skip
    else:
        _moved(
            weight, grad, mean, square, anchor, i, i < numbers, column, cut, pair_end, term, pair,
            context, rate, done,
        )  # fmt: skip
