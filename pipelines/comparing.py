"""Two bundles, two evidences -> what differs, and by how much."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from components.adapters.storage import digest_of
from model.bundle import MODEL_FILES

TOLERANCE = 1e-5  # relative, as float32 sums differ between machines
CODE = {f"provenance.{fact}" for fact in ("commit", "dirty", "image")}  # told as notes
IDENTICAL, WITHIN, DIFFERENT = "identical", "within tolerance", "different"


@dataclass(frozen=True)
class Difference:
    """A thing that is not the same, and whether it is as good as the same."""

    sentence: str
    is_within: bool


def verdict_of(differences: list[Difference]) -> str:
    """identical, within tolerance, or different."""
    if not differences:
        return IDENTICAL
    return WITHIN if all(one.is_within for one in differences) else DIFFERENT


def compare_bundles(was: Path, now: Path) -> list[Difference]:
    """By file, and inside weights by tensor; what was added at sealing is left out."""
    found = []
    for name in MODEL_FILES:
        old, new = was / name, now / name
        if old.is_file() != new.is_file():
            found.append(Difference(f"{name} is only in one of the two", False))
        elif old.is_file() and digest_of(old) != digest_of(new):
            is_weights = name.endswith(".safetensors")
            other = Difference(f"{name} is not the same", False)
            found += _tensors(name, old, new) if is_weights else [other]
    return found


def _tensors(name: str, was: Path, now: Path) -> Iterator[Difference]:
    old, new = load_file(was), load_file(now)
    for tensor in sorted({*old, *new}):
        a, b = old.get(tensor), new.get(tensor)
        if a is None or b is None or a.shape != b.shape:
            yield Difference(f"{name}: tensor {tensor} has another shape or is missing", False)
        elif not np.array_equal(a, b, equal_nan=True):
            gap = float(np.max(np.abs(a.astype(np.float64) - b)))
            scale = float(np.max(np.abs(a))) or 1.0
            said = f"{name}: tensor {tensor} differs by at most {gap:.3g} (scale {scale:.3g})"
            yield Difference(said, gap <= TOLERANCE * scale)


def compare_evidence(was: Any, now: Any) -> list[Difference]:
    """By dotted name; numbers within the tolerance are told apart from others."""
    old, new = dict(_leaves(was)), dict(_leaves(now))
    return [
        _leaf(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if name not in CODE and not _same(old.get(name), new.get(name))
    ]


def _leaf(name: str, was: Any, now: Any) -> Difference:
    close = False
    if isinstance(was, int | float) and isinstance(now, int | float):
        close = abs(was - now) <= TOLERANCE * max(abs(was), abs(now))
    return Difference(f"evidence {name}: {was!r} then, {now!r} now", close)


def _same(was: Any, now: Any) -> bool:
    if isinstance(was, float) and isinstance(now, float) and math.isnan(was) and math.isnan(now):
        return True
    return type(was) is type(now) and was == now


def _leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(tree, list | tuple):
        yield name, len(tree)
        for place, value in enumerate(tree):
            yield from _leaves(value, f"{name}[{place}]")
    else:
        yield name, tree
