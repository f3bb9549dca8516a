"""The row kernels' source for a network's sizes: `*.cuh`, and the matrix products written out."""

from pathlib import Path

from model.reward.fused.layout import Sizes

INSTRUCTIONS = "instructions"


def multiple(size: int, of: int) -> int:
    """The least multiple of `of` that holds so many."""
    return -(-size // of) * of


def widths(sizes: Sizes) -> tuple[int, int]:
    """Columns of what elements and what contexts add, as sizes.cuh counts them."""
    m = sizes.members
    factors = (m + 1) // 2 + m * -(-sizes.factors // 4)
    return multiple(4 * (factors + m * -(-sizes.rank // 4)), 8), multiple(4 * factors, 8)


def text(sizes: Sizes) -> str:
    """All of it; sizes come as the compiler's definitions."""
    own, told = widths(sizes)
    matrix = product("product_all", own) + product("product_told", told)
    return whole(part(INSTRUCTIONS), matrix)


def whole(instructions: str, matrix: str) -> str:
    """The kernels over these instructions and matrix products."""
    parts = [part("sizes"), instructions, matrix]
    return "\n".join(parts + [part(name) for name in ("rows", "forward", "levels", "slopes", "gradients", "sums")])


def part(name: str) -> str:
    return (Path(__file__).parent / f"{name}.cuh").read_text()


def product(name: str, columns: int) -> str:
    """d (64, columns) of a warpgroup += a (64, 16) @ b (16, columns), bf16 in shared memory; a
    turned: stored by its second axis, as b is."""
    count = columns // 2
    outs = ", ".join(f"%{i}" for i in range(count))
    held = ", ".join(f'"+f"(d[{i}])' for i in range(count))
    kind = f"wgmma.mma_async.sync.aligned.m64n{columns}k16.f32.bf16.bf16"
    return f"""
template <int TURNED>
__device__ __forceinline__ void {name}(float (&d)[{count}], Matrix a, Matrix b, int more) {{
    asm volatile("{{ .reg .pred p; .reg .b64 a, b; mov.b64 a, {{%{count}, %{count + 1}}}; "
                 "mov.b64 b, {{%{count + 2}, %{count + 3}}}; setp.ne.b32 p, %{count + 4}, 0; "
                 "{kind} {{{outs}}}, a, b, p, 1, 1, %{count + 5}, 1; }}"
                 : {held}
                 : "r"(a.low), "r"(a.high), "r"(b.low), "r"(b.high), "r"(more), "n"(TURNED));
}}
"""
