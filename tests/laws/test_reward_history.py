"""History speaks where the ids know nothing, and weights are not chosen by chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import CONTEXT, Planted, planted

from model.reward.config import RewardConfig
from model.reward.fit import Reward, fit_reward
from model.reward.history import CLICKS, lift_places, shrunk
from model.reward.tuning import clearly_worse

NAMES = ("lift_1", "weight_1", "age_days", "lift_28", "weight_28")
QUICK = RewardConfig(steps=48, buckets=256)
NEW = 0  # the element that nobody showed


@pytest.fixture(scope="module")
def world() -> Planted:
    """Element 0 is never shown; of the others only old news is known, and little varies."""
    made = planted(seed=3, rows=2000)
    bags = made.bags.take(np.flatnonzero(~(made.bags.element == NEW).any(1)))
    rng = np.random.default_rng(0)
    before = rng.uniform(0, 1, (len(made.elements), len(NAMES))).astype(np.float32)
    elements = replace(made.elements, history=before, history_names=NAMES)
    return replace(made, bags=replace(bags, history=before[bags.element]), elements=elements)


@pytest.fixture(scope="module")
def reward(world: Planted) -> Reward:
    return learned(world)


def learned(world: Planted) -> Reward:
    none = world.bags.take(np.arange(0))
    return fit_reward(world.bags, none, world.elements, CONTEXT, QUICK, seed=0)


def told(reward: Reward, world: Planted, element: int, history: np.ndarray) -> float:
    """Contribution of an element whose newest history is this."""
    known = world.elements.history.copy()
    known[element] = history
    now = replace(world.elements, history=known)
    bags = world.bags.take(np.array([0]))
    shown = bags.element.copy()
    shown[0, 0] = element
    bags = replace(bags, element=shown, history=known[shown])
    return float(reward.attribution(bags, now).element[0, 0])


def history(lift: float, displays: float, age: float = 0.5) -> np.ndarray:
    weight = np.log1p(displays)
    return np.array([0, 0, age, lift, weight], np.float32)


def test_what_an_id_learned_is_not_told_again_by_newer_history(
    reward: Reward, world: Planted
) -> None:
    found = [told(reward, world, 1, history(lift, 1e4)) for lift in (-1, 0, 1)]
    assert found[0] == found[1] == found[2]
    gaps = [
        reward.earnings(replace(world.elements, history=world.elements.history + up)).gap[1:]
        - reward.earnings(world.elements).gap[1:]
        for up in (0, 1)
    ]
    np.testing.assert_allclose(gaps[0][4:], gaps[1][4:], atol=1e-6)


def test_rows_of_the_window_teach_ids_alone(world: Planted, reward: Reward) -> None:
    """History that grows within the window is that of the first row."""
    later = world.bags.history + np.linspace(0, 2, len(world.bags))[:, None, None]
    _, first = np.unique(world.bags.element, return_index=True)
    flat = later.reshape(-1, len(NAMES))
    flat[first] = world.bags.history.reshape(-1, len(NAMES))[first]
    bags = replace(world.bags, history=flat.reshape(later.shape).astype(np.float32))
    again = learned(replace(world, bags=bags))
    found, known = (r.predict(world.bags, world.elements).click for r in (again, reward))
    np.testing.assert_array_equal(found, known)


def test_a_new_elements_lift_counts_as_much_as_its_clicks_can_say(
    reward: Reward, world: Planted
) -> None:
    rate = world.bags.clicks.mean()
    usual = told(reward, world, NEW, history(0.0, 4 * CLICKS / rate))
    moved = [
        told(reward, world, NEW, history(0.5, n)) - told(reward, world, NEW, history(0.0, n))
        for n in (1, CLICKS / rate, 1e3 * CLICKS / rate)
    ]
    assert np.isfinite(usual)
    assert abs(moved[0]) < 0.02
    assert moved[1] == pytest.approx(0.25, abs=0.1)  # half of the lift, its weight near 1
    assert moved[2] == pytest.approx(0.5, abs=0.2)


def test_history_beyond_what_was_learned_from_counts_as_the_most_that_was(
    reward: Reward, world: Planted
) -> None:
    most = world.elements.history[1:, 2].max()
    found = [told(reward, world, NEW, history(0.1, 50, age)) for age in (most, 9.0, 90.0)]
    assert found[1] == found[2]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_without_news_of_the_time_before_history_changes_nothing_learned(world: Planted) -> None:
    none = replace(world.bags, history=np.full_like(world.bags.history, np.nan))
    bare = replace(world.bags, history=world.bags.history[:, :, :0])
    plain = replace(world.elements, history=world.elements.history[:, :0], history_names=())
    with_ = learned(replace(world, bags=none)).predict(none, world.elements).click
    without = learned(replace(world, bags=bare, elements=plain)).predict(bare, plain).click
    np.testing.assert_allclose(with_, without, rtol=0.02)


def test_a_reward_read_back_knows_what_was_known_before(reward: Reward, world: Planted) -> None:
    again = Reward.from_state(*reward.state())
    found, known = (r.predict(world.bags, world.elements).click for r in (again, reward))
    np.testing.assert_array_equal(found, known)


def test_the_longest_window_comes_first_and_a_lift_without_weight_is_no_lift() -> None:
    assert lift_places(NAMES) == [(3, 4), (0, 1)]
    assert lift_places(("lift", "weight", "lift_7")) == [(0, 1)]
    values = np.array([[0.4, np.log1p(500.0)]])
    assert shrunk(values, [(0, 1)], 0.05)[0, 0] == pytest.approx(0.2)


def test_later_weights_are_worse_only_beyond_the_error_of_rows_and_of_groups() -> None:
    rng = np.random.default_rng(0)
    earlier, group = torch.zeros(400), torch.arange(400) % 20
    noise = torch.from_numpy(rng.normal(size=400))
    noise = noise - noise.mean()
    assert not clearly_worse(earlier + noise + 0.5 / 20, earlier, group)
    assert clearly_worse(earlier + noise + 3.0 / 20, earlier, group)
    alike = torch.from_numpy(rng.normal(size=20))[group]  # rows of a group move together
    alike = alike - alike.mean()
    assert clearly_worse(noise + 2.0 / 20, earlier, group)
    assert not clearly_worse(alike + 2.0 / 20, earlier, group)
