# pyright: basic, reportMissingImports=false, reportPrivateImportUsage=false
"""Triton kernels of the reward model's step: elements' table, rows in runs of one product, Adam.

A product's rows meet the K elements of its window only, so a block of rows reads them by a one-hot
matrix product and adds up their gradients by the transposed one: nothing is added atomically, and
every sum has one order, so the same inputs give the same bits. Floats enter the matrix units as two
bf16 numbers, 16 bits of mantissa. Loaded only where triton is there; `plain.py` holds the same
functions in torch.
"""

import triton
import triton.language as tl


@triton.jit
def _split(x, KIND: tl.constexpr):
    """(high, low): x as the sum of two numbers of KIND."""
    high = x.to(KIND)
    return high, (x - high.to(tl.float32)).to(KIND)


@triton.jit
def _product(a, b, KIND: tl.constexpr, FINE: tl.constexpr):
    """a @ b of an exact a and a float32 b."""
    high, low = _split(b, KIND)
    found = tl.dot(a, high)
    if FINE:
        found = tl.dot(a, low, found)
    return found


@triton.jit
def _left_product(a, b, KIND: tl.constexpr, FINE: tl.constexpr):
    """a @ b of a float32 a and an exact b."""
    high, low = _split(a, KIND)
    found = tl.dot(high, b)
    if FINE:
        found = tl.dot(low, b, found)
    return found


@triton.jit
def _shares(M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr, T: tl.constexpr):
    """(W,) the log-odds that a column adds to, below 2 M; 2 M = none. T: W or more."""
    j = tl.arange(0, W)
    pair = (j - 2 * M) // (R if R > 0 else 1)
    factor = (j - 2 * M - M * R) // (Q if Q > 0 else 1)
    to = tl.where(j < 2 * M, j, tl.where(j < 2 * M + M * R, pair, factor))
    return tl.where(j < 2 * M + M * R + M * Q, to, T)


@triton.jit
def _seen(
    order, local, context, r, end, S: tl.constexpr, C: tl.constexpr, CP: tl.constexpr,
    K: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """(rows, which are there, one-hot (BLOCK, K) of their elements, their contexts (BLOCK, CP))."""
    at = r + tl.arange(0, BLOCK)
    valid = at < end
    row = tl.load(order + at, mask=valid, other=0).to(tl.int64)
    k, c = tl.arange(0, K), tl.arange(0, CP)
    hot = tl.zeros((BLOCK, K), tl.int1)
    for s in tl.static_range(S):
        place = tl.load(local + row * S + s, mask=valid, other=-1).to(tl.int32)
        hot = hot | (place[:, None] == k[None, :])
    ok = valid[:, None] & (c < C)[None, :]
    told = tl.load(context + row[:, None] * C + c[None, :], mask=ok, other=0.0)
    return row, valid, tl.where(hot, 1.0, 0.0).to(KIND), told


@triton.jit
def _told(seen, weights, KIND: tl.constexpr, FINE: tl.constexpr, EXACT: tl.constexpr):
    """What contexts (BLOCK, CP) add through float32 weights (CP, W)."""
    if EXACT:
        return _product(seen.to(KIND), weights, KIND, FINE)
    high, low = _split(seen.to(tl.float32), KIND)
    found = _product(high, weights, KIND, FINE)
    return tl.dot(low, weights.to(KIND), found)


@triton.jit
def _counted(
    clicks, displays, bought, mature, converted, weight, row, valid, converts,
    M: tl.constexpr, O: tl.constexpr,
):  # fmt: skip
    """(BLOCK, O) events, trials and weights of each log-odds: M of a click, M of a conversion."""
    o = tl.arange(0, O)
    click, real = (o < M)[None, :], (o < 2 * M)[None, :]
    member = tl.where(o < M, o, o - M)
    clicked = tl.load(clicks + row, mask=valid, other=0.0)
    shown = tl.load(displays + row, mask=valid, other=0.0)
    sold = tl.load(bought + row, mask=valid, other=0.0)
    final = tl.load(mature + row, mask=valid, other=0.0)
    closed = tl.load(converted + row, mask=valid, other=0.0) * converts
    held = tl.load(
        weight + row[:, None] * M + member[None, :], mask=valid[:, None] & real, other=0.0
    )
    held = held * tl.where(click, final[:, None], closed[:, None])
    events = tl.where(click, clicked[:, None], sold[:, None])
    trials = tl.where(click, shown[:, None], clicked[:, None])
    return events, trials, held


@triton.jit
def levels(
    table, told_weights, product, bias, unit, units, order, local, context, clicks, displays,
    bought, mature, converted, weight, first, count, part,
    M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr, O: tl.constexpr,
    S: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, K: tl.constexpr, BLOCK: tl.constexpr,
    GRID: tl.constexpr, KIND: tl.constexpr, FINE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """part (units, 3, O): of each unit's rows the largest exposed log-odds of a click without the
    product, the sum of their exponentials over it, and the weighted clicks."""
    k, j, o, c = tl.arange(0, K), tl.arange(0, W), tl.arange(0, O), tl.arange(0, CP)
    shares = _shares(M, R, Q, W, O)
    select = tl.where(shares[:, None] == o[None, :], 1.0, 0.0).to(KIND)
    pairs = ((j >= 2 * M) & (j < 2 * M + M * R))[None, :]
    factors = (j >= 2 * M + M * R)[None, :]
    weights = tl.load(told_weights + c[:, None] * W + j[None, :])
    base = tl.load(bias + o)
    total = tl.load(units)
    for u in range(tl.program_id(0), total, GRID):
        p = tl.load(unit + 4 * u)
        begin, end = tl.load(unit + 4 * u + 1), tl.load(unit + 4 * u + 2)
        at, held = tl.load(first + p).to(tl.int64), tl.load(count + p)
        window = tl.load(
            table + (at + k)[:, None] * W + j[None, :], mask=(k < held)[:, None], other=0.0
        )
        peak = tl.full((BLOCK, O), -float("inf"), tl.float32)
        mass = tl.zeros((BLOCK, O), tl.float32)
        fell = tl.zeros((BLOCK, O), tl.float32)
        for r in range(begin, end, BLOCK):
            row, valid, hot, seen = _seen(order, local, context, r, end, S, C, CP, K, BLOCK, KIND)
            events, trials, share = _counted(
                clicks, displays, bought, mature, converted, weight, row, valid, 0.0, M, O
            )
            added = _product(hot, window, KIND, FINE)
            told = _told(seen, weights, KIND, FINE, EXACT)
            z = tl.where(pairs, 0.5 * added * added, tl.where(factors, added * told, added + told))
            odds = _left_product(z, select, KIND, FINE) + base[None, :]
            exposed = tl.log(tl.maximum(trials, 1e-9)) + tl.log(tl.maximum(share, 1e-9)) + odds
            exposed = tl.where(valid[:, None], exposed, -float("inf"))
            higher = tl.maximum(peak, exposed)
            safe = tl.where(higher == -float("inf"), 0.0, higher)
            mass = mass * tl.exp(peak - safe) + tl.exp(exposed - safe)
            fell += share * events
            peak = higher
        top = tl.max(peak, 0)
        safe = tl.where(top == -float("inf"), 0.0, top)
        whole = tl.sum(mass * tl.exp(peak - safe[None, :]), 0)
        to = part + u * (3 * O) + o
        tl.store(to, top)
        tl.store(to + O, whole)
        tl.store(to + 2 * O, tl.sum(fell, 0))


@triton.jit
def level(part, begin, level_out, fell_out, P, O: tl.constexpr, BLOCK: tl.constexpr):
    """Of each product the log mass of its units and their clicks, (P, O) both."""
    p = tl.program_id(0)
    o, b = tl.arange(0, O), tl.arange(0, BLOCK)
    start, end = tl.load(begin + p), tl.load(begin + p + 1)
    peak = tl.full((O,), -float("inf"), tl.float32)
    mass = tl.zeros((O,), tl.float32)
    fell = tl.zeros((O,), tl.float32)
    for u in range(start, end, BLOCK):
        at = part + (u + b).to(tl.int64)[:, None] * (3 * O) + o[None, :]
        ok = (u + b < end)[:, None]
        high = tl.load(at, mask=ok, other=-float("inf"))
        own = tl.load(at + O, mask=ok, other=0.0)
        fell += tl.sum(tl.load(at + 2 * O, mask=ok, other=0.0), 0)
        higher = tl.maximum(peak, tl.max(high, 0))
        safe = tl.where(higher == -float("inf"), 0.0, higher)
        mass = mass * tl.exp(peak - safe) + tl.sum(own * tl.exp(high - safe[None, :]), 0)
        peak = higher
    found = tl.where(mass > 0, tl.log(mass) + peak, -float("inf"))
    tl.store(level_out + p * O + o, found)
    tl.store(fell_out + p * O + o, fell)


@triton.jit
def gradients(
    table, told_weights, product, bias, unit, units, order, local, context, clicks, displays,
    bought, mature, converted, weight, first, count, known, level, fell_all, converts, comparison,
    scale, table_grad, table_part, product_part, told_part, bias_part,
    M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr, O: tl.constexpr,
    S: tl.constexpr, C: tl.constexpr, CP: tl.constexpr, K: tl.constexpr, BLOCK: tl.constexpr,
    GRID: tl.constexpr, KIND: tl.constexpr, FINE: tl.constexpr, EXACT: tl.constexpr,
):  # fmt: skip
    """Gradients of `scale` times the rows' loss.

    table_grad (E, W) of products with one unit, else table_part (slots, K, W) of each unit;
    product_part (units, O); told_part (GRID, CP, W); bias_part (GRID, 2, O), with the loss.
    """
    k, j, o, c = tl.arange(0, K), tl.arange(0, W), tl.arange(0, O), tl.arange(0, CP)
    shares = _shares(M, R, Q, W, O)
    select = tl.where(shares[:, None] == o[None, :], 1.0, 0.0).to(KIND)
    spread = tl.where(o[:, None] == shares[None, :], 1.0, 0.0).to(KIND)
    pairs = ((j >= 2 * M) & (j < 2 * M + M * R))[None, :]
    factors = (j >= 2 * M + M * R)[None, :]
    click = (o < M)[None, :]
    weights = tl.load(told_weights + c[:, None] * W + j[None, :])
    base = tl.load(bias + o)
    part_of = tl.where(o < M, 1.0 - comparison, 1.0)
    told_grad = tl.zeros((CP, W), tl.float32)
    bias_grad = tl.zeros((O,), tl.float32)
    lost = tl.zeros((BLOCK, O), tl.float32)
    total = tl.load(units)
    for u in range(tl.program_id(0), total, GRID):
        p = tl.load(unit + 4 * u)
        begin, end = tl.load(unit + 4 * u + 1), tl.load(unit + 4 * u + 2)
        slot = tl.load(unit + 4 * u + 3)
        at, held = tl.load(first + p).to(tl.int64), tl.load(count + p)
        window = tl.load(
            table + (at + k)[:, None] * W + j[None, :], mask=(k < held)[:, None], other=0.0
        )
        own = tl.load(product + p * O + o)
        top, fell_here = tl.load(level + p * O + o), tl.load(fell_all + p * O + o)
        window_grad = tl.zeros((K, W), tl.float32)
        product_grad = tl.zeros((BLOCK, O), tl.float32)
        for r in range(begin, end, BLOCK):
            row, valid, hot, seen = _seen(order, local, context, r, end, S, C, CP, K, BLOCK, KIND)
            events, trials, share = _counted(
                clicks, displays, bought, mature, converted, weight, row, valid, converts, M, O
            )
            added = _product(hot, window, KIND, FINE)
            told = _told(seen, weights, KIND, FINE, EXACT)
            z = tl.where(pairs, 0.5 * added * added, tl.where(factors, added * told, added + told))
            odds = _left_product(z, select, KIND, FINE) + base[None, :]
            whole = odds + own[None, :]
            small = tl.exp(-tl.abs(whole))
            chance = tl.where(whole >= 0, 1.0, small) / (1.0 + small)
            soft = tl.maximum(whole, 0.0) + tl.log(1.0 + small)
            down = share * (trials * chance - events) * part_of[None, :] * scale
            lost += share * (trials * soft - events * whole) * part_of[None, :]
            exposed = tl.log(tl.maximum(trials, 1e-9)) + tl.log(tl.maximum(share, 1e-9)) + odds
            real = valid[:, None] & click
            over = tl.where(real, exposed - top[None, :], -float("inf"))
            fell = tl.where(real, share * events, 0.0)
            apart = comparison * scale * (fell_here[None, :] * tl.exp(over) - fell)
            lost += tl.where(real, comparison * fell * (top[None, :] - odds), 0.0)
            dodds = down + tl.where(real, apart, 0.0)
            product_grad += down
            dz = _left_product(dodds, spread, KIND, FINE)
            dadded = tl.where(pairs, dz * added, tl.where(factors, dz * told, dz))
            dtold = tl.where(pairs, 0.0, tl.where(factors, dz * added, dz))
            window_grad += _product(tl.trans(hot), dadded, KIND, FINE)
            if EXACT:
                told_grad += _product(tl.trans(seen.to(KIND)), dtold, KIND, FINE)
            else:
                high, low = _split(seen.to(tl.float32), KIND)
                told_grad += _product(tl.trans(high), dtold, KIND, FINE)
                told_grad = tl.dot(tl.trans(low), dtold.to(KIND), told_grad)
        whole_grad = tl.sum(product_grad, 0)
        bias_grad += whole_grad  # the comparison doesn't move the level
        tl.store(product_part + u * O + o, whole_grad * tl.load(known + p))
        if slot < 0:
            to = table_grad + (at + k)[:, None] * W + j[None, :]
            tl.store(to, window_grad, mask=(k < held)[:, None])
        else:
            to = table_part + slot.to(tl.int64) * (K * W) + k[:, None] * W + j[None, :]
            tl.store(to, window_grad)
    pid = tl.program_id(0)
    tl.store(told_part + pid * (CP * W) + c[:, None] * W + j[None, :], told_grad)
    tl.store(bias_part + pid * (2 * O) + o, bias_grad)
    tl.store(bias_part + pid * (2 * O) + O + o, tl.sum(lost, 0))


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
    shares = _shares(M, R, Q, W, O)
    to_click = tl.where(pairs.trans() & (shares[:, None] == j[None, :]), 0.5, 0.0).to(KIND)
    squares = tl.where(pairs, found * found, 0.0)
    found -= _left_product(squares, to_click, KIND, True)
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
    shares = _shares(M, R, Q, W, O)
    pairs = (j >= 2 * M) & (j < 2 * M + M * R)
    from_click = tl.where(pairs[None, :] & (j[:, None] == shares[None, :]), 1.0, 0.0).to(KIND)
    found = grad - held * _left_product(grad, from_click, KIND, True)
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
    rest `context`, around 0.
    """
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    ok = i < N
    w = tl.load(weight + i, mask=ok, other=0.0)
    g = tl.load(grad + i, mask=ok, other=0.0)
    column = i % width
    off = w
    if ANCHORED:
        inside = ok & (column < cut)
        off = w - tl.load(anchor + (i // width) * cut + column, mask=inside, other=0.0)
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
