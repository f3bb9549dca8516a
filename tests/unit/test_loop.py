"""The closed loop: the same requests for all, exact propensities, regret that adds up."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from components.errors import WrongUse
from examples.loop import told
from examples.loop.bags import halves, unseen
from examples.loop.match import ARGMAX, players_of
from examples.loop.play import Match, Track, first_day, play
from examples.loop.plot import plot
from examples.loop.published import RECIPE, Published
from examples.loop.rates import ElementRates, Uniform
from examples.loop.world import CELLS, KINDS, World
from model.generator.config import GeneratorConfig
from model.reward.config import RewardConfig
from pipelines import simulating
from pipelines.verbs.day import simulate

QUICK = replace(
    RECIPE,
    reward=RewardConfig(steps=20, id_dropout=0.0),
    generator=GeneratorConfig(
        width=16, heads=2, clone_steps=3, steps=3, batch=8, group=4, pool=32, probe=4
    ),
)


@pytest.fixture(scope="module")
def world():
    return World.create(2, 3)


@pytest.fixture(scope="module")
def start(world):
    return first_day(world, 3000)


def no_time() -> float:
    return 0.0


def test_the_worlds_truth_is_the_shops(world):
    requests = world.requests(1, 50)
    place, _ = Uniform(world).choose(requests, np.random.default_rng(0))
    shown = world.show(requests, place, np.ones(50))
    choice = np.stack([world.legal[p][k] for p, k in zip(requests.product, place, strict=True)])
    columns = zip(*(CELLS[c] for c in requests.cell), strict=True)
    context = {name: np.array(c, object) for name, c in zip(KINDS, columns, strict=True)}
    truth = world.shop.true_reward(requests.product, {**context, "hour": requests.hour}, choice)
    np.testing.assert_allclose(shown.value, truth)
    assert (shown.best >= shown.value - 1e-12).all()


def test_requests_of_a_day_are_the_same_for_every_policy(world):
    first, second, other = world.requests(3, 100), world.requests(3, 100), world.requests(4, 100)
    assert (first.cell == second.cell).all()
    assert (first.chance == second.chance).all()
    assert not (first.chance == other.chance).all()


def test_places_are_found_again_from_their_elements(world):
    for p, legal in enumerate(world.legal):
        found = world.places(np.full(len(legal), p), world.rows_of(p))
        assert (found == np.arange(len(legal))).all()
        assert (world.elements.product_id[world.rows_of(p)] == world.shop.truth.products[p]).all()


def test_bags_keep_every_display_and_click(world, start):
    train, valid = halves(world, [start, start], 8, np.random.default_rng(0))
    assert train.impressions.sum() + valid.impressions.sum() == 2 * len(start.place)
    assert train.clicks.sum() + valid.clicks.sum() == 2 * start.clicked.sum()
    assert (train.clicks <= train.impressions).all()


@pytest.mark.parametrize("sampled", [0.0, 0.7])
def test_propensities_of_the_published_policy_are_those_it_shows_with(world, start, sampled):
    player = Published("ours", world, replace(QUICK, sampled=sampled, uniform=0.2), 0)
    player.learn(start)
    one = world.requests(1, 1)
    many = replace(
        one, **{k: np.repeat(getattr(one, k), 4000) for k in ("product", "cell", "hour", "chance")}
    )
    place, propensity = player.choose(many, np.random.default_rng(0))
    names, which, count = np.unique(place, return_index=True, return_counts=True)
    chance = propensity[which]
    assert len(names) > 1
    assert chance.sum() <= 1 + 1e-9
    assert np.abs(count / 4000 - chance).max() < 0.04


def test_an_arg_max_shows_one_combination_a_cell(world, start):
    player = next(p for p in players_of(world) if p.name == ARGMAX)
    player.recipe = replace(player.recipe, reward=QUICK.reward)
    player.learn(start)
    requests = world.requests(1, 300)
    place, propensity = player.choose(requests, np.random.default_rng(0))
    np.testing.assert_allclose(propensity, 1.0, atol=1e-6)
    cells = requests.product * len(CELLS) + requests.cell
    assert all(len(np.unique(place[cells == cell])) == 1 for cell in np.unique(cells))


def test_requests_as_bags_hold_their_context(world):
    requests = world.requests(1, 5)
    bags = unseen(world, requests)
    for row, cell in enumerate(requests.cell):
        assert tuple(bags.context[name][row] for name in KINDS) == CELLS[cell]


def test_a_match_is_the_same_for_the_same_seed_and_learns_only_from_own_displays(world):
    def players():
        return [Uniform(world), ElementRates(world)]

    first = play(world, players(), 3, 2000, no_time)
    alone = play(world, players()[:1], 3, 2000, no_time)
    assert (first.tracks[0].value == alone.tracks[0].value).all()
    assert first.tracks[1].value.mean() > first.tracks[0].value.mean()
    assert (first.best > first.logging).all()


def some_match(seed: int, gap: float) -> Match:
    best, logging = np.full(4, 0.05), np.full(4, 0.03)
    tracks = (
        Track(told.OURS, np.full(4, 0.04 + gap), 1.0),
        Track("uniform & others", np.full(4, 0.03), 2.0),
    )
    return Match(seed, 1000, tracks, logging, best)


def test_regret_and_distance_closed_add_up():
    found = told.facts([some_match(0, 0.0), some_match(1, 0.002)])
    ours = found["policies"][told.OURS]
    assert ours["regret"][0] == pytest.approx((40 + 32) / 2)
    assert ours["closed_last_day"][0] == pytest.approx(0.55)
    other = found["policies"]["uniform & others"]
    assert other["more_regret_than_ours"][0] == pytest.approx(80 - 36)
    assert next(iter(found["policies"])) == told.OURS
    assert "| GenCO |" in told.table(found)


def test_an_interval_over_shops_is_students():
    mean, low, high = told.interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert high - mean == pytest.approx(4.303 / 3**0.5)
    assert mean - low == pytest.approx(high - mean)
    assert np.isnan(told.interval([1.0])[1])


def test_matches_are_read_as_they_were_written(tmp_path):
    told.write_matches(tmp_path / "a" / "matches.json", [some_match(0, 0.0)])
    told.write_matches(tmp_path / "b" / "matches.json", [some_match(1, 0.001)])
    files = [tmp_path / name / "matches.json" for name in "ab"]
    found = told.facts(told.read_matches(files))
    assert found == told.facts([some_match(0, 0.0), some_match(1, 0.001)])


def test_the_plot_is_an_image_with_every_policys_name_escaped():
    drawing = ET.fromstring(plot([some_match(0, 0.0), some_match(1, 0.002)]))
    texts = "".join(text.text or "" for text in drawing.iter() if text.tag.endswith("text"))
    assert "GenCO" in texts
    assert "uniform & others" in texts


def test_the_loop_command_writes_table_facts_and_plot(tmp_path, monkeypatch):
    monkeypatch.setattr("examples.loop.match.players_of", lambda world: [
        Published(told.OURS, world, QUICK, 0), ElementRates(world), Uniform(world)
    ])  # fmt: skip
    found = simulating.loop(tmp_path, 2, range(2), 3, 1500, lambda line: None)
    assert {file.name for file in tmp_path.iterdir()} == {"matches.json", "loop.json", "loop.svg"}
    assert found["shops"] == [0, 1]
    assert "uniform" in simulating.loop_words(found)


def test_simulate_without_a_folder_or_with_an_unknown_word_is_wrong_use():
    for what in ("shop", "lop"):
        with pytest.raises(WrongUse, match="genco simulate loop"):
            simulate(what=what)
