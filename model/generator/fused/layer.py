"""One encoder layer on all products at once: Triton kernels where a GPU runs them, else torch.

`plain` is the function; `fused` gives the same numbers in bf16 with 11 passes over the tokens
instead of 28 (docs/gpu_notes.md counts them).
"""

import math
from functools import cache
from importlib.util import find_spec
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from model.generator.network import Block

SIZES: dict[
    str, tuple[int, int, int]
] = {  # kernel -> tokens a program, warps, stages of loads (docs/gpu_notes.md: how they were found)
    "before_forward": (64, 4, 1),
    "after_forward": (64, 4, 2),
    "after_backward": (64, 4, 2),
    "before_backward": (32, 2, 2),
    "norm": (32, 2, 3),
}
HIDDEN = {"after_forward": 64, "after_backward": 64}  # columns of the inner layer at a time
ATTENTION_WARPS = {"attention_forward": 4, "attention_backward": 4}
WIDTHS = (64, 128)
MOST_CANDIDATES = 128


def able(block: Block, candidates: int) -> bool:
    """Whether the kernels hold for these sizes."""
    width, heads = block.out.in_features, block.heads
    sizes = width in WIDTHS and width // heads in (16, 32, 64)
    return find_spec("triton") is not None and sizes and candidates <= MOST_CANDIDATES


def plain(block: Block, tokens: Tensor, mask: Tensor) -> Tensor:
    """`Block.forward` with the weights in the tokens' type; mask (B, T) True = there."""
    kind, heads = tokens.dtype, block.heads
    parts = _linear(block.mixed, _normal(block.norm, tokens)).chunk(3, dim=-1)
    query, key, value = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in parts)
    seen = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask[:, None, None, :]
    )
    tokens = tokens + _linear(block.out, seen.transpose(1, 2).flatten(2))
    inner = functional.gelu(_linear(block.inner, _normal(block.norm_after, tokens)))
    return (tokens + _linear(block.outer, inner)).to(kind)


def _normal(norm: torch.nn.LayerNorm, tokens: Tensor) -> Tensor:
    weight, bias = norm.weight.to(tokens.dtype), norm.bias.to(tokens.dtype)
    return functional.layer_norm(tokens, norm.normalized_shape, weight, bias, norm.eps)


def _linear(layer: torch.nn.Linear, tokens: Tensor) -> Tensor:
    return functional.linear(tokens, layer.weight.to(tokens.dtype), layer.bias.to(tokens.dtype))


def fused(block: Block, tokens: Tensor, present: Tensor, last: torch.nn.LayerNorm | None) -> Tensor:
    """The layer by kernels, and the encoder's `last` norm behind it; tokens (B, 1 + N, D) bf16,
    present (B, N) bool of the candidates."""
    weights = (
        block.norm.weight, block.norm.bias, block.mixed.weight, block.mixed.bias,
        block.out.weight, block.out.bias, block.norm_after.weight, block.norm_after.bias,
        block.inner.weight, block.inner.bias, block.outer.weight, block.outer.bias,
    )  # fmt: skip
    if last is not None:
        weights = (*weights, last.weight, last.bias)
    return cast(Tensor, _Layer.apply(tokens, present, block.heads, *weights))


@cache
def _kernels() -> Any:
    from model.generator.fused import kernels

    return kernels


def _of_rows(rows: int, kernel: str) -> tuple[tuple[int], dict[str, int]]:
    height, warps, stages = SIZES[kernel]
    return (math.ceil(rows / height),), {"BM": height, "num_warps": warps, "num_stages": stages}


def _attention_sizes(tokens: Tensor, heads: int, kernel: str) -> dict[str, int]:
    candidates, width = tokens.shape[1] - 1, tokens.shape[2]
    padded = max(16, 1 << (candidates - 1).bit_length())
    sizes = {"H": heads, "DH": width // heads, "BN": padded}
    return {**sizes, "num_warps": ATTENTION_WARPS[kernel], "num_stages": 1}


def by_split(left: Tensor, right: Tensor) -> Tensor:
    """left^T right in float32, of (R, m) and (R, n): in parts that fill the chip, then summed."""
    rows = left.shape[0]
    parts = math.gcd(rows, 128)
    a, b = left.view(parts, rows // parts, -1), right.view(parts, rows // parts, -1)
    return torch.bmm(a.transpose(1, 2), b).sum(0, dtype=torch.float32)


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, present: Tensor, heads: int, *weights: Tensor) -> Tensor:
        run, tokens = _kernels(), tokens.contiguous()
        low = [w.to(tokens.dtype) if w.dim() == 2 else w.float() for w in weights]
        g1, b1, wm, bm, wo, bo, g2, b2, wi, bi, wu, bu, *end = low
        width, rows = tokens.shape[2], tokens.shape[0] * tokens.shape[1]
        grid, how = _of_rows(rows, "before_forward")
        qkv = tokens.new_empty(*tokens.shape[:2], 3 * width)
        run.before_forward[grid](tokens, g1, b1, wm, bm, qkv, rows, D=width, **how)
        seen, middle, found = (torch.empty_like(tokens) for _ in range(3))
        candidates, scale = tokens.shape[1] - 1, (width // heads) ** -0.5
        around = _attention_sizes(tokens, heads, "attention_forward")
        run.attention_forward[(len(tokens) * heads,)](
            qkv, present, seen, candidates, scale, **around
        )
        keep, (grid, how) = any(ctx.needs_input_grad), _of_rows(rows, "after_forward")
        normed = torch.empty_like(tokens) if end else found
        run.after_forward[grid](
            tokens, seen, wo, bo, g2, b2, wi, bi, wu, bu, *(end or (g2, b2)), middle, found, normed,
            rows, D=width, HC=HIDDEN["after_forward"], KEEP=keep, LAST=bool(end), **how,
        )  # fmt: skip
        if keep:
            ctx.save_for_backward(tokens, present, qkv, seen, middle, found, *low)
            ctx.heads = heads
        return normed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        run = _kernels()
        tokens, present, qkv, seen, middle, found, *low = ctx.saved_tensors
        g1, b1, wm, _, wo, _, g2, b2, wi, bi, wu, _, *end = low
        width, rows = tokens.shape[2], tokens.shape[0] * tokens.shape[1]
        dy, ends = gradients[0].contiguous(), ()
        if end:
            dy, *ends = _through_norm(dy, found, end[0])
        grid, how = _of_rows(rows, "after_backward")
        wide, dwide = (tokens.new_empty(rows, 2 * width) for _ in range(2))
        normal, dmiddle, dseen = (torch.empty_like(tokens) for _ in range(3))
        late = torch.empty(grid[0], 6 * width, device=tokens.device)
        run.after_backward[grid](
            dy, middle, g2, b2, wi, bi, wu, wo, wide, dwide, normal, dmiddle, dseen, late, rows,
            D=width, HC=HIDDEN["after_backward"], **how,
        )  # fmt: skip
        flat = (rows, width)
        dwu = by_split(dy.view(flat), wide)
        dwi = by_split(dwide, normal.view(flat))
        dwo = by_split(dmiddle.view(flat), seen.view(flat))
        dbu, dbi, dbo, dg2, db2 = late.sum(0).split([width, 2 * width, width, width, width])
        dqkv = torch.empty_like(qkv)
        around = _attention_sizes(tokens, ctx.heads, "attention_backward")
        scale = (width // ctx.heads) ** -0.5
        run.attention_backward[(len(tokens) * ctx.heads,)](
            qkv, present, dseen, dqkv, tokens.shape[1] - 1, scale, **around
        )
        grid, how = _of_rows(rows, "before_backward")
        early = torch.empty(grid[0], 5 * width, device=tokens.device)
        dx = torch.empty_like(tokens)
        run.before_backward[grid](
            dqkv, tokens, dmiddle, g1, b1, wm, dx, normal, early, rows, D=width, **how
        )
        dwm = by_split(dqkv.view(rows, 3 * width), normal.view(flat))
        dbm, dg1, db1 = early.sum(0).split([3 * width, width, width])
        return (
            dx, None, None, dg1, db1, dwm, dbm, dwo, dbo, dg2, db2, dwi, dbi, dwu, dbu, *ends,
        )  # fmt: skip


def _through_norm(dz: Tensor, y: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of y, of the norm's weight and of its bias, of norm(y)'s."""
    width, rows = y.shape[2], y.shape[0] * y.shape[1]
    grid, how = _of_rows(rows, "norm")
    dy, sums = torch.empty_like(y), torch.empty(grid[0], 2 * width, device=y.device)
    _kernels().norm_backward[grid](dz, y, weight, dy, sums, rows, D=width, **how)
    dweight, dbias = sums.sum(0).split(width)
    return dy, dweight, dbias
