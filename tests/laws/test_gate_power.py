"""Laws of the gate in small shops of known truth, and the benchmark's harness itself.

The full benchmark is `python -m benchmarks.gate_power`; here are few judgements, their seeds
fixed, with bounds that a gate at its level misses in about one of a hundred choices of seeds.
"""

import json

import numpy as np
import pytest

from benchmarks import gate_power
from benchmarks.gate_worlds.candidates import BROKEN, GAINS, make, set_stage
from benchmarks.gate_worlds.power import one
from benchmarks.gate_worlds.reigns import reign
from benchmarks.gate_worlds.report import wilson
from benchmarks.gate_worlds.world import draw_counts, draw_log, make_world


@pytest.mark.parametrize("gain", GAINS)
def test_a_made_challenger_is_worth_exactly_what_it_is_said_to_be(gain):
    rng = np.random.default_rng(1)
    stage = set_stage(make_world(rng), 50_000, rng)
    value = stage.world.value(make(gain, stage, 50_000, rng).policy)
    champion = stage.world.value(stage.champion.policy)
    assert value == pytest.approx(champion * (1 + GAINS[gain]), rel=1e-9)


@pytest.mark.parametrize("kind", ["shuffled labels", "collapsed generator", "leaked feature"])
def test_a_broken_challenger_earns_less_than_the_champion(kind):
    rng = np.random.default_rng(2)
    stage = set_stage(make_world(rng), 50_000, rng)
    broken = stage.world.value(make(kind, stage, 50_000, rng).policy)
    assert broken < stage.world.value(stage.champion.policy)


def test_a_log_has_the_true_rate_and_users_that_differ_more_than_chance():
    rng = np.random.default_rng(3)
    stage = set_stage(make_world(rng), 50_000, rng)
    log = draw_log(stage.world, stage.logging, 400_000, rng)
    assert log.click.mean() == pytest.approx(stage.world.value(stage.logging), rel=0.05)
    clicks, displays = np.bincount(log.user, log.click), np.bincount(log.user)
    expected = displays * log.click.mean()
    assert (np.square(clicks - expected) / np.maximum(expected, 1e-9)).mean() > 1.3
    shown = draw_counts(stage.world, stage.logging, 1_000_000, rng).displays
    assert shown.sum() == 1_000_000


def test_as_good_is_hardly_ever_promoted_over_looks():
    """12 reigns of 8 looks at 300,000 displays: 3 at 2.5 % would be beyond chance."""
    assert sum(reign(300_000, 8, seed).spent is not None for seed in range(12)) <= 2


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_challenger_is_not_promoted(kind):
    assert all(one(kind, 300_000, seed).verdict != "PROMOTE" for seed in range(4))


def test_a_clearly_better_challenger_is_promoted_at_a_million():
    verdicts = [one("+10 %", 1_000_000, seed).verdict for seed in range(50, 58)]
    assert verdicts.count("PROMOTE") >= 4, verdicts


def test_the_benchmark_writes_what_it_prints(tmp_path, capsys):
    out = tmp_path / "power.json"
    asked = "--sizes 30000 --judgements 2 --reigns 1 --looks 2 --simulated 1000 --out"
    gate_power.main([*asked.split(), str(out)])
    told, printed = json.loads(out.read_text()), capsys.readouterr()
    assert told["verdicts"]["30000"]["as good"]["PROMOTE"]["of"] == 2
    assert set(told["coverage"]["30000"]) >= {"ips", "snips", "dr"}
    assert "Targets" in printed.out
    assert "30,000 as good" in printed.err


def test_the_interval_of_no_promotion_in_two_hundred_stays_below_two_percent():
    low, high = wilson(0, 200)
    assert (low, high) == (0.0, pytest.approx(0.0188, abs=2e-4))
