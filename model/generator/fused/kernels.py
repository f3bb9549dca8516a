# pyright: basic, reportMissingImports=false, reportPrivateImportUsage=false
"""Triton kernels of one encoder layer: rows before attention, attention of a product, rows after.

Rows are tokens of all products side by side, (R, D) bf16. What a kernel needs of its inputs it
reads once; what it can compute again in the backward pass it does not store. Loaded only where
triton is there and a GPU runs; `layer.py` holds the same functions in torch.
"""

import triton
import triton.language as tl


@triton.jit
def _tile(base, rows, cols, ld, mask):
    return tl.load(base + rows[:, None] * ld + cols[None, :], mask=mask[:, None], other=0.0)


@triton.jit
def _weight(base, ld, M: tl.constexpr, D: tl.constexpr):
    """(M, D) block of a row-major weight."""
    return tl.load(base + tl.arange(0, M)[:, None] * ld + tl.arange(0, D)[None, :])


@triton.jit
def _standard(x, D: tl.constexpr):
    """(x - mean) / deviation of each row, and 1 / deviation."""
    mean = tl.sum(x, 1) / D
    off = x - mean[:, None]
    rstd = 1.0 / tl.sqrt(tl.sum(off * off, 1) / D + 1e-5)
    return off * rstd[:, None], rstd


@triton.jit
def _gelu_both(h):
    """(gelu, its derivative), both within 2e-7.

    The normal tail is a polynomial in 1 / (1 + p |x|) times exp(-x^2), which the derivative needs
    too (Abramowitz and Stegun 1964, 7.1.26): half the work of the library's erf and an exp.
    """
    x = tl.abs(h) * 0.7071067811865476
    t = 1.0 / (1.0 + 0.3275911 * x)
    fall = tl.exp(-x * x)
    poly = (1.061405429 * t - 1.453152027) * t + 1.421413741
    tail = 0.5 * fall * (((poly * t - 0.284496736) * t + 0.254829592) * t)
    half = tl.where(h > 0, 1.0 - tail, tail)
    return h * half, half + h * fall * 0.3989422804014327


@triton.jit
def _gelu(h):
    return _gelu_both(h)[0]


@triton.jit
def before_forward(x, gamma, beta, w, b, qkv, R, D: tl.constexpr, BM: tl.constexpr):
    """qkv (R, 3 D) = norm(x) w^T + b."""
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    cols = tl.arange(0, D)
    ok = rows < R
    hat, _ = _standard(_tile(x, rows, cols, D, ok).to(tl.float32), D)
    n = (hat * tl.load(gamma + cols)[None, :] + tl.load(beta + cols)[None, :]).to(
        x.dtype.element_ty
    )
    for c in tl.static_range(3):
        part = tl.dot(n, tl.trans(_weight(w + c * D * D, D, D, D)))
        part += tl.load(b + c * D + cols)[None, :]
        at = qkv + rows[:, None] * (3 * D) + c * D + cols[None, :]
        tl.store(at, part.to(x.dtype.element_ty), mask=ok[:, None])


@triton.jit
def before_backward(
    dqkv, x, dskip, gamma, beta, w, dx, n_out, partial, R, D: tl.constexpr, BM: tl.constexpr
):
    """dx = dskip + (gradient through norm), n for the weight's gradient.

    partial (tiles, 5 D): column sums of dqkv, of the gradients of gamma and of beta.
    """
    pid = tl.program_id(0)
    rows = pid.to(tl.int64) * BM + tl.arange(0, BM)
    cols = tl.arange(0, D)
    ok = rows < R
    own = partial + pid.to(tl.int64) * (5 * D) + cols
    dn = tl.zeros((BM, D), tl.float32)
    for c in tl.static_range(3):
        part = _tile(dqkv + c * D, rows, cols, 3 * D, ok)
        tl.store(own + c * D, tl.sum(part.to(tl.float32), 0))
        dn = tl.dot(part, _weight(w + c * D * D, D, D, D), dn)
    hat, rstd = _standard(_tile(x, rows, cols, D, ok).to(tl.float32), D)
    scale = tl.load(gamma + cols)[None, :]
    n = hat * scale + tl.load(beta + cols)[None, :]
    tl.store(n_out + rows[:, None] * D + cols[None, :], n.to(x.dtype.element_ty), mask=ok[:, None])
    tl.store(own + 3 * D, tl.sum(dn * hat, 0))
    tl.store(own + 4 * D, tl.sum(dn, 0))
    dhat = dn * scale
    mean, along = tl.sum(dhat, 1) / D, tl.sum(dhat * hat, 1) / D
    grown = (dhat - mean[:, None] - hat * along[:, None]) * rstd[:, None]
    grown += _tile(dskip, rows, cols, D, ok).to(tl.float32)
    tl.store(dx + rows[:, None] * D + cols[None, :], grown.to(x.dtype.element_ty), mask=ok[:, None])


@triton.jit
def after_forward(
    x, o, wo, bo, gamma, beta, wi, bi, wu, bu, gamma_last, beta_last, x1, y, z, R,
    D: tl.constexpr, BM: tl.constexpr, HC: tl.constexpr, KEEP: tl.constexpr, LAST: tl.constexpr,
):  # fmt: skip
    """x1 = x + o wo^T + bo (stored where KEEP), y = x1 + gelu(norm(x1) wi^T + bi) wu^T + bu.

    LAST: z = norm(y) of the encoder's last norm, and y is stored only where KEEP.
    """
    rows = tl.program_id(0).to(tl.int64) * BM + tl.arange(0, BM)
    cols = tl.arange(0, D)
    ok = rows < R
    here = rows[:, None] * D + cols[None, :]
    mid = tl.dot(_tile(o, rows, cols, D, ok), tl.trans(_weight(wo, D, D, D)))
    mid += _tile(x, rows, cols, D, ok).to(tl.float32) + tl.load(bo + cols)[None, :]
    held = mid.to(x.dtype.element_ty)
    if KEEP:
        tl.store(x1 + here, held, mask=ok[:, None])
    total = held.to(tl.float32)
    hat, _ = _standard(total, D)
    n = (hat * tl.load(gamma + cols)[None, :] + tl.load(beta + cols)[None, :]).to(
        x.dtype.element_ty
    )
    total += tl.load(bu + cols)[None, :]
    part = tl.arange(0, HC)
    for c in tl.range(0, 2 * D, HC):
        h = tl.dot(n, tl.trans(_weight(wi + c * D, D, HC, D))) + tl.load(bi + c + part)[None, :]
        g = _gelu(h).to(x.dtype.element_ty)
        total = tl.dot(g, tl.trans(_weight(wu + c, 2 * D, D, HC)), total)
    found = total.to(x.dtype.element_ty)
    if LAST:
        hat, _ = _standard(found.to(tl.float32), D)
        n = hat * tl.load(gamma_last + cols)[None, :] + tl.load(beta_last + cols)[None, :]
        tl.store(z + here, n.to(x.dtype.element_ty), mask=ok[:, None])
    if KEEP or not LAST:
        tl.store(y + here, found, mask=ok[:, None])


@triton.jit
def after_backward(
    dy, x1, gamma, beta, wi, bi, wu, wo, g_out, dh_out, n_out, dx1, do, partial, R,
    D: tl.constexpr, BM: tl.constexpr, HC: tl.constexpr,
):  # fmt: skip
    """Gradients dx1 (of the residual) and do (of attention's output), and what weights need.

    partial (tiles, 6 D): column sums of dy, dh (2 D), dx1, and the gradients of gamma and beta.
    """
    pid = tl.program_id(0)
    rows = pid.to(tl.int64) * BM + tl.arange(0, BM)
    cols = tl.arange(0, D)
    ok = rows < R
    here = rows[:, None] * D + cols[None, :]
    own = partial + pid.to(tl.int64) * (6 * D) + cols
    hat, _ = _standard(_tile(x1, rows, cols, D, ok).to(tl.float32), D)
    scale = tl.load(gamma + cols)[None, :]
    n = (hat * scale + tl.load(beta + cols)[None, :]).to(x1.dtype.element_ty)
    tl.store(n_out + here, n, mask=ok[:, None])
    dout = _tile(dy, rows, cols, D, ok)
    tl.store(own, tl.sum(dout.to(tl.float32), 0))
    dn = tl.zeros((BM, D), tl.float32)
    part = tl.arange(0, HC)
    for c in tl.range(0, 2 * D, HC):
        first = _weight(wi + c * D, D, HC, D)
        h = tl.dot(n, tl.trans(first)) + tl.load(bi + c + part)[None, :]
        g, slope = _gelu_both(h)
        wide = rows[:, None] * (2 * D) + c + part[None, :]
        tl.store(g_out + wide, g.to(x1.dtype.element_ty), mask=ok[:, None])
        dh = (tl.dot(dout, _weight(wu + c, 2 * D, D, HC)) * slope).to(x1.dtype.element_ty)
        tl.store(dh_out + wide, dh, mask=ok[:, None])
        tl.store(partial + pid.to(tl.int64) * (6 * D) + D + c + part, tl.sum(dh.to(tl.float32), 0))
        dn = tl.dot(dh, first, dn)
    # Read again: cheaper than registers held over the loop.
    hat, rstd = _standard(_tile(x1, rows, cols, D, ok).to(tl.float32), D)
    dout = _tile(dy, rows, cols, D, ok)
    tl.store(own + 4 * D, tl.sum(dn * hat, 0))
    tl.store(own + 5 * D, tl.sum(dn, 0))
    dhat = dn * scale
    mean, along = tl.sum(dhat, 1) / D, tl.sum(dhat * hat, 1) / D
    grown = (dhat - mean[:, None] - hat * along[:, None]) * rstd[:, None] + dout.to(tl.float32)
    tl.store(own + 3 * D, tl.sum(grown, 0))
    held = grown.to(x1.dtype.element_ty)
    tl.store(dx1 + here, held, mask=ok[:, None])
    tl.store(
        do + here, tl.dot(held, _weight(wo, D, D, D)).to(x1.dtype.element_ty), mask=ok[:, None]
    )


@triton.jit
def _attend(q, k, q0, k0, there, scale):
    """Attention of candidates and of the whole (token 0) over both, as normal shares.

    (n, n) candidate on candidate, (n,) candidate on whole, (n,) whole on candidate, whole on whole.
    """
    s = tl.dot(q, tl.trans(k)) * scale
    s = tl.where(there[None, :], s, float("-inf"))
    sw = tl.sum(q.to(tl.float32) * k0[None, :], 1) * scale
    top = tl.maximum(tl.max(s, 1), sw)
    p, pw = tl.exp(s - top[:, None]), tl.exp(sw - top)
    size = 1.0 / (tl.sum(p, 1) + pw)
    r = tl.where(there, tl.sum(k.to(tl.float32) * q0[None, :], 1) * scale, float("-inf"))
    rw = tl.sum(q0 * k0, 0) * scale
    peak = tl.maximum(tl.max(r, 0), rw)
    a, aw = tl.exp(r - peak), tl.exp(rw - peak)
    weight = 1.0 / (tl.sum(a, 0) + aw)
    return p * size[:, None], pw * size, a * weight, aw * weight


@triton.jit
def attention_forward(
    qkv, present, o, N, scale,
    H: tl.constexpr, DH: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """o (B, N + 1, H DH): token 0 (the whole) is always there, candidate i where present."""
    b, h = tl.program_id(0).to(tl.int64) // H, tl.program_id(0) % H
    D: tl.constexpr = H * DH
    at, d = tl.arange(0, BN), tl.arange(0, DH)
    ok = at < N
    there = tl.load(present + b * N + at, mask=ok, other=0) != 0
    top = qkv + b * (N + 1) * 3 * D + h * DH
    body = top + 3 * D
    q, k = _tile(body, at, d, 3 * D, ok), _tile(body + D, at, d, 3 * D, ok)
    v = _tile(body + 2 * D, at, d, 3 * D, ok)
    q0, k0 = tl.load(top + d).to(tl.float32), tl.load(top + D + d).to(tl.float32)
    v0 = tl.load(top + 2 * D + d).to(tl.float32)
    p, pw, a, aw = _attend(q, k, q0, k0, there, scale)
    seen = tl.dot(p.to(qkv.dtype.element_ty), v) + pw[:, None] * v0[None, :]
    whole = tl.sum(a[:, None] * v.to(tl.float32), 0) + aw * v0
    out = o + b * (N + 1) * D + h * DH
    tl.store(out + d, whole.to(qkv.dtype.element_ty))
    to = out + D + at[:, None] * D + d[None, :]
    tl.store(to, seen.to(qkv.dtype.element_ty), mask=ok[:, None])


@triton.jit
def attention_backward(
    qkv, present, do, dqkv, N, scale,
    H: tl.constexpr, DH: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    """dqkv of `attention_forward`; one program a product and head, so nothing is added twice."""
    b, h = tl.program_id(0).to(tl.int64) // H, tl.program_id(0) % H
    D: tl.constexpr = H * DH
    at, d = tl.arange(0, BN), tl.arange(0, DH)
    ok = at < N
    there = tl.load(present + b * N + at, mask=ok, other=0) != 0
    start = b * (N + 1) * 3 * D + h * DH
    top = qkv + start
    body = top + 3 * D
    q, k = _tile(body, at, d, 3 * D, ok), _tile(body + D, at, d, 3 * D, ok)
    v = _tile(body + 2 * D, at, d, 3 * D, ok)
    q0, k0 = tl.load(top + d).to(tl.float32), tl.load(top + D + d).to(tl.float32)
    v0 = tl.load(top + 2 * D + d).to(tl.float32)
    from_ = do + b * (N + 1) * D + h * DH
    g0 = tl.load(from_ + d).to(tl.float32)
    g = _tile(from_ + D, at, d, D, ok)
    p, pw, a, aw = _attend(q, k, q0, k0, there, scale)
    wide = g.to(tl.float32)
    dp, dpw = tl.dot(g, tl.trans(v)), tl.sum(wide * v0[None, :], 1)
    common = tl.sum(p * dp, 1) + pw * dpw
    ds = (p * (dp - common[:, None]) * scale).to(qkv.dtype.element_ty)
    dsw = pw * (dpw - common) * scale
    da, daw = tl.sum(v.to(tl.float32) * g0[None, :], 1), tl.sum(g0 * v0, 0)
    mass = tl.sum(a * da, 0) + aw * daw
    dr, drw = a * (da - mass) * scale, aw * (daw - mass) * scale
    dq = tl.dot(ds, k) + dsw[:, None] * k0[None, :]
    dk = tl.dot(tl.trans(ds), q) + dr[:, None] * q0[None, :]
    dv = tl.dot(tl.trans(p.to(qkv.dtype.element_ty)), g) + a[:, None] * g0[None, :]
    dq0 = tl.sum(dr[:, None] * k.to(tl.float32), 0) + drw * k0
    dk0 = tl.sum(dsw[:, None] * q.to(tl.float32), 0) + drw * q0
    dv0 = tl.sum(pw[:, None] * wide, 0) + aw * g0
    out = dqkv + start
    tl.store(out + d, dq0.to(qkv.dtype.element_ty))
    tl.store(out + D + d, dk0.to(qkv.dtype.element_ty))
    tl.store(out + 2 * D + d, dv0.to(qkv.dtype.element_ty))
    to = out + 3 * D + at[:, None] * (3 * D) + d[None, :]
    tl.store(to, dq.to(qkv.dtype.element_ty), mask=ok[:, None])
    tl.store(to + D, dk.to(qkv.dtype.element_ty), mask=ok[:, None])
    tl.store(to + 2 * D, dv.to(qkv.dtype.element_ty), mask=ok[:, None])


@triton.jit
def norm_backward(dy, x, gamma, dx, partial, R, D: tl.constexpr, BM: tl.constexpr):
    """dx; partial (tiles, 2 D): column sums of the gradients of gamma and beta."""
    pid = tl.program_id(0)
    rows = pid.to(tl.int64) * BM + tl.arange(0, BM)
    cols = tl.arange(0, D)
    ok = rows < R
    own = partial + pid.to(tl.int64) * (2 * D) + cols
    dn = _tile(dy, rows, cols, D, ok).to(tl.float32)
    hat, rstd = _standard(_tile(x, rows, cols, D, ok).to(tl.float32), D)
    tl.store(own, tl.sum(dn * hat, 0))
    tl.store(own + D, tl.sum(dn, 0))
    dhat = dn * tl.load(gamma + cols)[None, :]
    mean, along = tl.sum(dhat, 1) / D, tl.sum(dhat * hat, 1) / D
    grown = (dhat - mean[:, None] - hat * along[:, None]) * rstd[:, None]
    at = rows[:, None] * D + cols[None, :]
    tl.store(dx + at, grown.to(x.dtype.element_ty), mask=ok[:, None])
