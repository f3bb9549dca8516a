# pyright: basic, reportMissingImports=false, reportPrivateImportUsage=false
"""Triton kernels of the reward model's step that read rows, in runs of one product.

A product's rows meet the K elements of its window only, so a block of rows reads them by a one-hot
matrix product and adds up their gradients by the transposed one: nothing is added atomically, and
every sum has one order, so the same inputs give the same bits. Floats enter the matrix units as two
bf16 numbers, 16 bits of mantissa. Loaded only where triton is there; `plain.py` holds the same
functions in torch.
"""

import triton
import triton.language as tl

from model.reward.fused.halves import left_split, right_split, shares_of, split


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
        return right_split(seen.to(KIND), weights, KIND, FINE)
    high, low = split(seen.to(tl.float32), KIND)
    found = right_split(high, weights, KIND, FINE)
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
    shares = shares_of(M, R, Q, W, O)
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
            added = right_split(hot, window, KIND, FINE)
            told = _told(seen, weights, KIND, FINE, EXACT)
            z = tl.where(pairs, 0.5 * added * added, tl.where(factors, added * told, added + told))
            odds = left_split(z, select, KIND, FINE) + base[None, :]
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
    shares = shares_of(M, R, Q, W, O)
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
            added = right_split(hot, window, KIND, FINE)
            told = _told(seen, weights, KIND, FINE, EXACT)
            z = tl.where(pairs, 0.5 * added * added, tl.where(factors, added * told, added + told))
            odds = left_split(z, select, KIND, FINE) + base[None, :]
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
            dz = left_split(dodds, spread, KIND, FINE)
            dadded = tl.where(pairs, dz * added, tl.where(factors, dz * told, dz))
            dtold = tl.where(pairs, 0.0, tl.where(factors, dz * added, dz))
            window_grad += right_split(tl.trans(hot), dadded, KIND, FINE)
            if EXACT:
                told_grad += right_split(tl.trans(seen.to(KIND)), dtold, KIND, FINE)
            else:
                high, low = split(seen.to(tl.float32), KIND)
                told_grad += right_split(tl.trans(high), dtold, KIND, FINE)
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
