"""The row kernels' source for a network's sizes: `*.cuh`, and the matrix products written out."""

from pathlib import Path

from model.reward.fused.layout import Sizes

INSTRUCTIONS = "instructions"
PRODUCTS = ("product_own", "product_told", "product_slopes")


def multiple(size: int, of: int) -> int:
    """The least multiple of `of` that holds so many."""
    return -(-size // of) * of


def widths(sizes: Sizes) -> tuple[int, int, int]:
    """Columns of what elements add, of what contexts add, and of the slopes of both, as in sizes.cuh."""
    m = sizes.members
    of_factors, of_pairs = m * -(-sizes.factors // 4), m * -(-sizes.rank // 4)
    told = (m + 1) // 2 + of_factors
    groups = told + of_pairs, told, told + of_pairs + of_factors
    own, told, slopes = (multiple(4 * group, 8) for group in groups)
    return own, told, slopes


def text(sizes: Sizes) -> str:
    """All of it; sizes come as the compiler's definitions."""
    own, told, slopes = widths(sizes)
    matrix = "".join(map(product, PRODUCTS, (own, told, 2 * slopes)))
    return whole(part(INSTRUCTIONS), matrix)


def whole(instructions: str, matrix: str) -> str:
    """The kernels over these instructions and matrix products."""
    parts = [part("sizes"), instructions, matrix]
    return "\n".join(
        parts
        + [part(name) for name in ("rows", "forward", "slopes", "sums", "gradients", "pieces")]
    )


def part(name: str) -> str:
    return (Path(__file__).parent / f"{name}.cuh").read_text()


def product(name: str, columns: int) -> str:
    """d (64, columns) of a warpgroup = or += a (64, 16) @ b (16, columns), bf16: a in registers or, by
    its columns, in shared memory as b is."""
    count = columns // 2
    outs = ", ".join(f"%{i}" for i in range(count))
    kind = f"wgmma.mma_async.sync.aligned.m64n{columns}k16.f32.bf16.bf16 {{{outs}}}"
    a = ", ".join(f"%{count + i}" for i in range(4))
    words = [f"{{%{count + i}, %{count + i + 1}}}" for i in range(0, 6, 2)]
    told = '"r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.low), "r"(b.high)'
    found = ""
    for behind, kept, more in (("_first", "=", 0), ("", "+", 1)):
        held = ", ".join(f'"{kept}f"(d[{i}])' for i in range(count))
        found += f"""
__device__ __forceinline__ void {name}{behind}(float (&d)[{count}], const u32 (&a)[4], Matrix b) {{
    asm volatile("{{ .reg .pred p; .reg .b64 b; mov.b64 b, {words[2]}; setp.ne.b32 p, {more}, 0; "
                 "{kind}, {{{a}}}, b, p, 1, 1, 1; }}"
                 : {held} : {told});
}}
"""
    held = ", ".join(f'"+f"(d[{i}])' for i in range(count))
    return (
        found
        + f"""
__device__ __forceinline__ void {name}_turned(float (&d)[{count}], Matrix a, Matrix b) {{
    asm volatile("{{ .reg .pred p; .reg .b64 a, b; mov.b64 a, {words[0]}; mov.b64 b, {words[1]}; "
                 "setp.ne.b32 p, 1, 0; {kind}, a, b, p, 1, 1, 1, 1; }}"
                 : {held} : "r"(a.low), "r"(a.high), "r"(b.low), "r"(b.high));
}}
"""
    )
