"""What the scaling benchmark calls efficiency, and what it calls communication."""

import pytest
import torch

from benchmarks.generator_gpu import world_of
from benchmarks.scaling_steps import Timed, apart, part_of


def test_twice_the_rows_in_the_same_time_is_an_efficiency_of_1() -> None:
    perfect = Timed("x", "weak", 2, 100, joined_ms=5, alone_ms=5, one_ms=5, peak_gib=0).told()
    assert (perfect["efficiency"], perfect["lost"], perfect["rate"]) == (1, 0, 40_000)
    slower = Timed("x", "weak", 2, 100, joined_ms=10, alone_ms=5, one_ms=5, peak_gib=0).told()
    assert (slower["efficiency"], slower["lost"]) == (0.5, 0.5)


def test_half_the_rows_in_half_the_time_is_an_efficiency_of_1() -> None:
    perfect = Timed("x", "strong", 2, 50, joined_ms=5, alone_ms=5, one_ms=10, peak_gib=0).told()
    assert (perfect["efficiency"], perfect["lost"]) == (1, 0)
    fixed = Timed("x", "strong", 2, 50, joined_ms=10, alone_ms=10, one_ms=10, peak_gib=0).told()
    assert (fixed["efficiency"], fixed["lost"]) == (0.5, 0)


def test_the_parts_of_a_batch_are_its_requests() -> None:
    whole = world_of(6, 0).requests
    part = part_of(whole, torch.tensor([4, 1]))
    assert torch.equal(part.dense, whole.dense[[4, 1]])
    assert torch.equal(part.paths.start, whole.paths.start[[4, 1]])
    assert torch.equal(part.pieces.base, whole.pieces.base[[4, 1]])


def test_weights_that_moved_elsewhere_are_told() -> None:
    one = ([2.0, 1.0], {"w": torch.tensor([3.0, 4.0]), "key.bias": torch.tensor([1.0])})
    other = ([2.0, 1.1], {"w": torch.tensor([3.0, 4.5]), "key.bias": torch.tensor([9.0])})
    assert apart(other, one) == pytest.approx((0.1, 0.1))
