"""Which sizes suit the encoder layer's kernels on this GPU: `python3 -m benchmarks.generator_kernels`.

Times each kernel of `model.generator.fused.kernels` alone, on one layer's tokens of B products with
4 x 16 candidates at width 128, for some heights, warps and stages, the sizes in use among them.
`--best` then takes the fastest of each and goes on with `benchmarks.generator_gpu` and what is left
of the command line.
"""

import math
import sys
from collections.abc import Callable, Iterator
from itertools import product

import torch

from benchmarks import generator_gpu
from benchmarks.device_times import milliseconds
from model.generator.fused import layer

B, T, D, HEADS = 16384, 65, 128, 4
ROWS = B * T
HEIGHTS = [(32, 2), (32, 4), (64, 2), (64, 4), (128, 8)]
Run = Callable[[], object]
Sizes = tuple[int, ...]


class Buffers:
    """One layer's tensors, filled by chance."""

    def __init__(self) -> None:
        def low(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, device="cuda", dtype=torch.bfloat16) / 4

        self.x, self.seen, self.mid, self.out = (low(B, T, D) for _ in range(4))
        self.dx, self.dmid, self.normal = (low(B, T, D) for _ in range(3))
        self.qkv, self.dqkv = low(B, T, 3 * D), low(B, T, 3 * D)
        self.wide, self.dwide = low(ROWS, 2 * D), low(ROWS, 2 * D)
        self.wm, self.wo, self.wi, self.wu = (
            low(3 * D, D), low(D, D), low(2 * D, D), low(D, 2 * D),
        )  # fmt: skip
        self.one, self.zero = torch.ones(3 * D, device="cuda"), torch.zeros(3 * D, device="cuda")
        self.present = torch.rand(B, T - 1, device="cuda") < 0.9
        self.sums = torch.empty(math.ceil(ROWS / 16), 6 * D, device="cuda")


def rows_kernels(b: Buffers, height: int, warps: int, stages: int) -> Iterator[tuple[str, Run]]:
    run, grid = layer._kernels(), (math.ceil(ROWS / height),)
    how = {"D": D, "BM": height, "num_warps": warps, "num_stages": stages}
    one, zero = b.one, b.zero
    yield (
        "before_forward",
        lambda: run.before_forward[grid](b.x, one, zero, b.wm, zero, b.qkv, ROWS, **how),
    )
    yield (
        "before_backward",
        lambda: run.before_backward[grid](
            b.dqkv, b.x, b.dmid, one, zero, b.wm, b.dx, b.normal, b.sums, ROWS, **how
        ),
    )
    yield "norm", lambda: run.norm_backward[grid](b.dx, b.x, one, b.out, b.sums, ROWS, **how)


def hidden_kernels(
    b: Buffers, height: int, warps: int, stages: int, hidden: int
) -> Iterator[tuple[str, Run]]:
    run, grid = layer._kernels(), (math.ceil(ROWS / height),)
    how = {"D": D, "BM": height, "HC": hidden, "num_warps": warps, "num_stages": stages}
    one, zero = b.one, b.zero
    yield "after_forward", lambda: run.after_forward[grid](
        b.x, b.seen, b.wo, zero, one, zero, b.wi, zero, b.wu, zero, one, zero, b.mid, b.out,
        b.normal, ROWS, KEEP=True, LAST=True, **how,
    )  # fmt: skip
    yield "after_backward", lambda: run.after_backward[grid](
        b.dx, b.mid, one, zero, b.wi, zero, b.wu, b.wo, b.wide, b.dwide, b.normal, b.dmid,
        b.seen, b.sums, ROWS, **how,
    )  # fmt: skip


def attention_kernels(b: Buffers, warps: int) -> Iterator[tuple[str, Run]]:
    run, scale = layer._kernels(), (D // HEADS) ** -0.5
    how = {"H": HEADS, "DH": D // HEADS, "BN": T - 1, "num_warps": warps, "num_stages": 1}
    yield (
        "attention_forward",
        lambda: run.attention_forward[(B * HEADS,)](b.qkv, b.present, b.seen, T - 1, scale, **how),
    )
    yield (
        "attention_backward",
        lambda: run.attention_backward[(B * HEADS,)](
            b.qkv, b.present, b.seen, b.dqkv, T - 1, scale, **how
        ),
    )


def every(b: Buffers) -> Iterator[tuple[str, Sizes, Run]]:
    for warps in (1, 2, 4, 8):
        yield from ((name, (warps,), run) for name, run in attention_kernels(b, warps))
    for (height, warps), stages in product(HEIGHTS, (1, 2, 3)):
        sizes = (height, warps, stages)
        yield from ((name, sizes, run) for name, run in rows_kernels(b, *sizes))
    for (height, warps), stages, hidden in product(HEIGHTS, (1, 2), (32, 64)):
        sizes = (height, warps, stages, hidden)
        yield from ((name, sizes, run) for name, run in hidden_kernels(b, *sizes))


def used(name: str) -> Sizes:
    if name in layer.ATTENTION_WARPS:
        return (layer.ATTENTION_WARPS[name],)
    hidden = (layer.HIDDEN[name],) if name in layer.HIDDEN else ()
    return (*layer.SIZES[name], *hidden)


def take(name: str, sizes: Sizes) -> None:
    if name in layer.ATTENTION_WARPS:
        layer.ATTENTION_WARPS[name] = sizes[0]
        return
    layer.SIZES[name] = (sizes[0], sizes[1], sizes[2])
    if name in layer.HIDDEN:
        layer.HIDDEN[name] = sizes[3]


def main() -> None:
    found: dict[str, list[tuple[float, Sizes]]] = {}
    for name, sizes, run in every(Buffers()):
        try:
            found.setdefault(name, []).append((milliseconds(run), sizes))
        except Exception as error:
            print(f"{name} {sizes}: {type(error).__name__}: {str(error)[:120]}", flush=True)
    for name, timed in found.items():
        best = sorted(timed)[:4]
        now = [spent for spent, sizes in timed if sizes == used(name)]
        listed = ", ".join(f"{spent:.3f} {sizes}" for spent, sizes in best)
        print(f"{name:20s} in use {used(name)} {now[0]:.3f} ms; fastest {listed}", flush=True)
        if "--best" in sys.argv:
            take(name, best[0][1])
    if "--best" in sys.argv:
        sys.argv.remove("--best")
        torch.cuda.empty_cache()
        generator_gpu.main()


if __name__ == "__main__":
    main()
