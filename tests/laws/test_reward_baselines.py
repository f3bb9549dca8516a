"""Every rival learns an effect that was planted, and the judges of them tell good from bad."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.reward import control
from benchmarks.reward.lift import Gained, gained, interval, paired
from benchmarks.reward.onehot import one_hot_regression
from benchmarks.reward.ours import ABLATIONS, Setting, reward_model
from benchmarks.reward.pooling import Pool, pooled
from benchmarks.reward.rates import empirical_rates
from benchmarks.reward.ridge import embedding_ensemble, tfidf_ridge
from benchmarks.reward.task import Task, Way, blank, likelihood, logit, thinned
from benchmarks.reward.trees import boosted_trees
from model.bags import read_bags
from model.elements import Elements

SLOTS = ("headline", "image")
GOOD, DULL = "amazing", "plain"
EFFECT = 0.8


def made(products: int, seed: int, first: int = 0) -> tuple[Elements, pa.Table]:
    """Products with four headlines, two of which say the good word; images do nothing."""
    rng = np.random.default_rng(seed)
    elements: dict[str, list[object]] = {
        n: [] for n in ("product_id", "slot", "element_id", "text", "embedding")
    }
    bags: dict[str, list[object]] = {
        n: [] for n in ("product_id", "context", "creative", "impressions", "clicks")
    }
    for p in range(first, first + products):
        base = -3 + 0.7 * rng.normal()
        for k in range(4):
            word = GOOD if k < 2 else DULL
            given = [float(k < 2), *rng.normal(size=3).tolist()]
            said = f"{word} story number {rng.integers(40)}"
            row = (f"p{p}", "headline", f"h{p}-{k}", said, given)
            for column, value in zip(elements.values(), row, strict=True):
                column.append(value)
        for k in range(2):
            row = (f"p{p}", "image", f"i{p}-{k}", "", None)
            for column, value in zip(elements.values(), row, strict=True):
                column.append(value)
        for k in range(8):
            odds = base + EFFECT * (k % 4 < 2)
            clicks = rng.binomial(1500, 1 / (1 + np.exp(-odds)))
            shown = [("headline", f"h{p}-{k % 4}"), ("image", f"i{p}-{k // 4}")]
            row = (f"p{p}", "{}", shown, 1500, int(clicks))
            for column, value in zip(bags.values(), row, strict=True):
                column.append(value)
    elements["embedding"] = pa.array(elements["embedding"], pa.list_(pa.float32()))
    bags["creative"] = pa.array(bags["creative"], pa.map_(pa.string(), pa.string()))
    return Elements.from_table(pa.table(elements), SLOTS), pa.table(bags)


@pytest.fixture(scope="module")
def known() -> Task:
    """The judged rows show products and elements of the training rows."""
    elements, table = made(30, 0)
    bags = read_bags(table, elements, {})
    return Task(bags, bags, bags, elements, {})


@pytest.fixture(scope="module")
def later() -> Task:
    """The judged rows show products and elements that training never saw."""
    elements, table = made(60, 1)
    bags = read_bags(table, elements, {})
    number = np.array([int(name[1:]) for name in bags.product_id])
    parts = (number < 40, (number >= 40) & (number < 45), number >= 45)
    return Task(*(bags.take(np.flatnonzero(p)) for p in parts), elements, {})


def poolings() -> dict[str, Way]:
    kinds: tuple[Pool, ...] = ("attention", "additive", "noisy-or")
    return {kind: lambda task, kind=kind: pooled(task, kind) for kind in kinds}


KNOWING: dict[str, Way] = {
    "rates": empirical_rates,
    "one-hot": one_hot_regression,
    "trees": boosted_trees,
    **poolings(),
    "ours": lambda task: reward_model(task, Setting({"members": 2, "steps": 160, "buckets": 512})),
}
READING: dict[str, Way] = {
    "ridge": tfidf_ridge,
    "ensemble": embedding_ensemble,
    "trees": boosted_trees,
    **poolings(),
    "ours": KNOWING["ours"],
}


def good(task: Task) -> np.ndarray:
    """(n,) bool: the row's headline says the good word."""
    said = task.elements.text[task.judged.element[:, 0]].astype(str)
    return np.char.startswith(said, GOOD)


@pytest.mark.parametrize("name", KNOWING)
def test_what_known_elements_earn_is_learned_and_attributed(known: Task, name: str) -> None:
    answer = KNOWING[name](known)
    assert answer.click is not None
    assert answer.element is not None
    assert np.corrcoef(answer.score, logit(known.judged.clicks / 1500))[0, 1] > 0.9
    best = good(known)
    headline = answer.element[best, 0].mean() - answer.element[~best, 0].mean()
    image = answer.element[best, 1].mean() - answer.element[~best, 1].mean()
    assert headline > 0.25
    assert abs(image) < 0.35 * headline
    assert abs(answer.click.mean() * 1500 / known.judged.clicks.mean() - 1) < 0.1


@pytest.mark.parametrize("name", READING)
def test_what_new_elements_say_is_read(later: Task, name: str) -> None:
    found = gained(later.judged, READING[name](later).score)
    assert found.lift > 0.2


@pytest.mark.parametrize("way", [empirical_rates, one_hot_regression])
def test_ways_without_content_tie_where_all_is_new(later: Task, way: Way) -> None:
    assert gained(later.judged, way(later).score).lift == pytest.approx(0, abs=1e-12)


def test_without_content_our_model_ties_where_all_is_new(later: Task) -> None:
    setting = Setting({"members": 2, "steps": 40, "buckets": 64}, content=False)
    assert gained(later.judged, reward_model(later, setting).score).lift == pytest.approx(0)


def test_ties_are_averaged() -> None:
    _, table = made(1, 2)
    bags = read_bags(table, made(1, 2)[0], {})
    even = gained(bags, np.zeros(8))
    assert even.lift == pytest.approx(0, abs=1e-12)
    two = gained(bags, np.array([1.0, 1, 0, 0, 0, 0, 0, 0]))
    rate = bags.clicks / bags.impressions
    assert two.chosen[0] == pytest.approx(rate[:2].mean() * bags.impressions.sum())


def test_the_paired_interval_of_equal_scores_is_zero_and_of_better_ones_above(later: Task) -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=len(later.judged))
    first, same = gained(later.judged, score), gained(later.judged, 2 * score)
    assert paired(first, same) == (0, 0, 0)
    best = gained(later.judged, good(later).astype(float))
    _, low, high = paired(first, best)
    assert 0 < low < high
    assert interval(first.drawn())[0] < first.lift < interval(first.drawn())[1]


def test_parts_joined_keep_their_products(later: Task) -> None:
    one = gained(later.judged, np.zeros(len(later.judged)))
    twice = Gained.joined([one, one])
    assert len(twice.even) == 2 * len(one.even)
    assert twice.lift == pytest.approx(one.lift)


def test_thinning_keeps_the_rate_and_the_share(later: Task) -> None:
    few = thinned(later.train, 0.1, np.random.default_rng(0))
    assert few.impressions.sum() == pytest.approx(0.1 * later.train.impressions.sum(), rel=0.02)
    rates = [b.clicks.sum() / b.impressions.sum() for b in (few, later.train)]
    assert rates[0] == pytest.approx(rates[1], rel=0.05)
    assert (few.clicks <= few.impressions).all()


def test_likelihood_is_highest_at_the_rates(later: Task) -> None:
    true = logit((later.train.clicks + 0.5) / (later.train.impressions + 1))
    assert likelihood(true, later.train) > likelihood(true + 0.1, later.train)


def test_blank_elements_say_nothing(later: Task) -> None:
    bare = blank(later.elements)
    assert not any(bare.text)
    assert bare.embedding == (None, None)
    assert (bare.element_id == later.elements.element_id).all()


# ---- the negative control: a third slot that is varied among rows shown alike


def told(effect: float, seed: int = 3) -> Task:
    """Products with two headlines, each under two ledes whose word earns `effect` log-odds."""
    rng = np.random.default_rng(seed)
    rows, parts = [], []
    for p in range(40):
        base = -3 + 0.5 * rng.normal()
        for name in ("h0", "h1"):
            rows.append((f"p{p}", "headline", f"{name}-{p}", f"story {rng.integers(9)} {name}"))
        rows.append((f"p{p}", "image", "none", ""))
        for name, word in (("l0", GOOD), ("l1", DULL)):
            rows.append((f"p{p}", "lede", f"{name}-{p}", f"{word} lede"))
        for k in range(4):
            odds = base + effect * (k % 2 == 0)
            shown = [("headline", f"h{k // 2}-{p}"), ("image", "none"), ("lede", f"l{k % 2}-{p}")]
            parts.append((f"p{p}", shown, int(rng.binomial(2000, 1 / (1 + np.exp(-odds))))))
    columns = ("product_id", "slot", "element_id", "text")
    catalog = pa.table({n: [r[i] for r in rows] for i, n in enumerate(columns)})
    elements = Elements.from_table(catalog, ("headline", "image", "lede"))
    table = pa.table(
        {
            "product_id": [p[0] for p in parts],
            "context": ["{}"] * len(parts),
            "creative": pa.array([p[1] for p in parts], pa.map_(pa.string(), pa.string())),
            "impressions": [2000] * len(parts),
            "clicks": [p[2] for p in parts],
        }
    )
    bags = read_bags(table, elements, {})
    tuned = np.array([int(name[1:]) % 10 == 0 for name in bags.product_id])
    split = (bags.take(np.flatnonzero(~tuned)), bags.take(np.flatnonzero(tuned)))
    return Task(*split, bags, elements, {})


QUICK = Setting({"members": 2, "steps": 60, "buckets": 256})


@pytest.mark.parametrize(("effect", "silent"), [(0.0, True), (0.4, False), (0.8, False)])
def test_the_negative_control_fails_when_an_effect_is_planted(effect: float, silent: bool) -> None:
    """Seven refits on shuffled counts, where four were too few to know how far chance reaches.

    24 refits at 0.8 gave sizes of 0.129 with a deviation of 0.037, the effect itself one of 0.385:
    seven deviations away. Student's bound of four draws reaches 3.6 of the deviation that they
    happen to have, and passes seven true ones once in some hundred (0.390 here); that of seven
    draws reaches 2.6, and would have to find a deviation 2.6 times too large.
    """
    found = control.controls(told(effect), QUICK, 7, workers=1, say=False)
    assert [c.slot for c in found] == ["headline", "image", "lede"]
    assert found[2].rows == 160
    assert found[2].silent is silent
    assert ("PASS" if silent else "FAIL") in control.report(found)


def test_shuffling_exchanges_counts_among_rows_shown_alike_only() -> None:
    bags = told(0.8).judged
    mixed = control.shuffled(bags, np.random.default_rng(0))
    code = control.alike(bags)
    for column in ("clicks", "impressions"):
        before, after = (np.bincount(code, getattr(b, column)) for b in (bags, mixed))
        assert (before == after).all()
    assert (mixed.clicks != bags.clicks).any()
    assert (mixed.element == bags.element).all()


def test_sizes_are_measured_among_rows_that_differ() -> None:
    bags = told(0.0).judged
    element = np.zeros((len(bags), 3))
    element[:, 2] = np.where(np.arange(len(bags)) % 2 == 0, 0.3, -0.3)
    element[:, 1] = 5.0
    assert control.sizes(bags, element) == [(160, 0.0), (0, 0.0), (160, pytest.approx(0.3))]


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_trains(later: Task, name: str) -> None:
    setting = ABLATIONS[name]
    quick = replace(setting, changes={"members": 2, "steps": 3, "buckets": 64, **setting.changes})
    found = reward_model(later, quick)
    assert np.isfinite(found.score).all()
    assert found.element is not None
