"""A false bonus outside the log's support is followed by the plain generator, not by the cautious.

The reward model is the real one, trained on a log without what is poisoned; the whole table is
printed by `make bench-generator`.
"""

from dataclasses import replace

import pytest

from benchmarks.generator import FREE, PROBE, follow
from benchmarks.generator_rules import Ruled, illegal_among
from benchmarks.generator_worlds import Trap

SMALL = replace(PROBE, width=16, heads=2, clone_steps=15, steps=60, batch=24, group=16, pool=96)


@pytest.mark.parametrize("kind", ["element", "pair"])
def test_the_cautious_generator_does_not_follow_a_planted_bonus_and_the_plain_one_does(kind):
    trap = Trap.of(kind, products=3, displays=6000, seed=5, steps=40)
    assert not trap.caught(trap.bags.element).any()
    held = follow(trap, SMALL, requests=48)
    plain = follow(trap, replace(SMALL, **FREE), requests=48)
    assert held["generator"].shown <= held["uniform"].shown
    assert plain["generator"].shown > 3 * plain["uniform"].shown
    assert plain["generator"].shown > 0.4


def test_samples_under_every_kind_of_rule_keep_the_rules_words():
    import numpy as np

    ruled = Ruled.of(products=6, seed=1)
    product, shown = ruled.sample(20_000, np.random.default_rng(0))
    assert len(shown) == 20_000
    assert illegal_among(ruled, product, shown) == 0
    assert illegal_among(ruled, product, np.zeros_like(shown) - 1) == 20_000
    counts = [space.count() for space in ruled.spaces]
    assert counts == ruled.legal.sum(1).tolist()
