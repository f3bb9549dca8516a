# pyright: basic, reportMissingImports=false, reportPrivateImportUsage=false
"""What the reward model's kernels share: products of float32 numbers, as two of 16 bits each."""

import triton
import triton.language as tl


@triton.jit
def split(x, KIND: tl.constexpr):
    """(high, low): x as the sum of two numbers of KIND."""
    high = x.to(KIND)
    return high, (x - high.to(tl.float32)).to(KIND)


@triton.jit
def right_split(a, b, KIND: tl.constexpr, FINE: tl.constexpr):
    """a @ b of an exact a and a float32 b."""
    high, low = split(b, KIND)
    found = tl.dot(a, high)
    if FINE:
        found = tl.dot(a, low, found)
    return found


@triton.jit
def left_split(a, b, KIND: tl.constexpr, FINE: tl.constexpr):
    """a @ b of a float32 a and an exact b."""
    high, low = split(a, KIND)
    found = tl.dot(high, b)
    if FINE:
        found = tl.dot(low, b, found)
    return found


@triton.jit
def shares_of(M: tl.constexpr, R: tl.constexpr, Q: tl.constexpr, W: tl.constexpr, T: tl.constexpr):
    """(W,) the log-odds that a column adds to, below 2 M; 2 M = none. T: W or more."""
    j = tl.arange(0, W)
    pair = (j - 2 * M) // (R if R > 0 else 1)
    factor = (j - 2 * M - M * R) // (Q if Q > 0 else 1)
    to = tl.where(j < 2 * M, j, tl.where(j < 2 * M + M * R, pair, factor))
    return tl.where(j < 2 * M + M * R + M * Q, to, T)
