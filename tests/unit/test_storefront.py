"""The simulated shop: what it writes is the contract's, and what it says of itself is true."""

import hashlib
import math
from collections import Counter
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_day import TinyDay, judge, unbalanced

from examples.storefront.shop import Shop
from examples.storefront.truth import BASE, CONTEXT, SLOTS

DAYS = ("2026-11-20", "2026-11-21", "2026-11-22")
DISPLAYS = 1500
CELLS = {**dict.fromkeys(CONTEXT, "categorical"), "hour": "number"}
LIMITS = {
    "slots": SLOTS,
    "context": CELLS,
    "user_limit": 200,
    "conversion_days": 7,
    "quarantined_share": 0.9,
}


def written(root: Path, dirt: bool, seed: int = 3) -> tuple[Shop, dict[str, int]]:
    shop = Shop.create(seed, 6)
    return shop, shop.write_days(root, DAYS[0], len(DAYS), DISPLAYS, dirt)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Path, dict[str, int]]:
    root = tmp_path_factory.mktemp("clean")
    shop, told = written(root, dirt=False)
    return shop, root, told


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], list[TinyDay]]:
    root = tmp_path_factory.mktemp("dirty")
    _, told = written(root, dirt=True)
    return told, [judge(root, ds, **LIMITS) for ds in DAYS[-1:]]


def tables(root: Path, kind: str, part: str = "logs") -> dict[str, pa.Table]:
    files = sorted((root / part / kind).rglob("*.parquet"))
    by_day: dict[str, list[pa.Table]] = {}
    for file in files:
        by_day.setdefault(file.parent.name[3:], []).append(pq.ParquetFile(file).read())
    return {ds: pa.concat_tables(found) for ds, found in by_day.items()}


def test_every_column_has_the_contracts_name_and_type(clean) -> None:
    _, root, _ = clean
    words = pa.map_(pa.string(), pa.string())
    context = pa.struct([*((name, pa.string()) for name in CONTEXT), ("hour", pa.int64())])
    instant, text, number = pa.timestamp("ms"), pa.string(), pa.float64()
    wanted = {
        "impressions": {
            "impression_id": text,
            "shown_at": instant,
            "product_id": text,
            "user_id": text,
            "context": context,
            "creative": words,
            "propensity": number,
            "policy": text,
        },
        "clicks": {"impression_id": text, "clicked_at": instant},
        "conversions": {"impression_id": text, "converted_at": instant, "value": number},
    }
    for kind, columns in wanted.items():
        for table in tables(root, kind).values():
            assert {f.name: f.type for f in table.schema} == columns
    elements = tables(root, "elements", "catalog")[DAYS[0]].schema
    assert elements.field("embedding").type == pa.list_(pa.float32())
    assert elements.field("created_at").type == instant
    assert [elements.field(n).type for n in ("product_id", "slot", "element_id", "text")] == [
        text
    ] * 4
    listed = tables(root, "combinations", "catalog")[DAYS[0]].schema
    assert {f.name: f.type for f in listed} == {"product_id": text, "creative": words}
    forbidden = tables(root, "forbidden", "catalog")[DAYS[0]].schema
    assert forbidden.names == ["product_id", "slot_a", "element_a", "slot_b", "element_b"]


def test_events_lie_in_the_partition_of_the_day_they_happened_on(clean) -> None:
    _, root, _ = clean
    for kind, at in (
        ("impressions", "shown_at"),
        ("clicks", "clicked_at"),
        ("conversions", "converted_at"),
    ):
        found = tables(root, kind)
        assert sorted(found) == list(DAYS)
        for ds, table in found.items():
            assert {when.date().isoformat() for when in table[at].to_pylist()} == {ds}


def test_of_a_clean_shop_nothing_is_quarantined(clean) -> None:
    _, root, told = clean
    day = judge(root, DAYS[-1], **LIMITS)
    assert unbalanced(day.manifest) == []
    assert day.rows("quarantine") == []
    assert len(day.rows("bags")) == DISPLAYS == told["impressions"] // len(DAYS)


def test_conversions_follow_their_displays_by_days_and_have_a_value(clean) -> None:
    _, root, told = clean
    shown: dict[str, Any] = {}
    for table in tables(root, "impressions").values():
        shown |= dict(
            zip(table["impression_id"].to_pylist(), table["shown_at"].to_pylist(), strict=True)
        )
    rows = [row for table in tables(root, "conversions").values() for row in table.to_pylist()]
    lags = [row["converted_at"] - shown[row["impression_id"]] for row in rows]
    assert all(timedelta(0) <= lag < timedelta(days=7) for lag in lags)
    assert sum(lag > timedelta(days=1) for lag in lags) > 0
    assert len(rows) < told["conversions"]  # the rest happens after the last day
    assert all(row["value"] > 0 for row in rows)


# ---- dirt


BY_RULE = {
    "malformed": "json",
    "unknown slot": "slot",
    "unknown element": "element",
    "propensity as text": "type.propensity",
    "hour as text": "type.context",
    "shown on another day": "day",
    "bot": "traffic",
    "click without impression": "orphan",
    "click before impression": "before",
}
REPEATS = ("duplicate id", "repeated file", "repeated click", "repeated click file")


def _every_day(dirty) -> list[dict[str, Any]]:
    import json

    _, (last,) = dirty
    store = last.root / "store/manifests"
    return [json.loads((store / f"ds={ds}.json").read_text()) for ds in DAYS]


def test_ingest_quarantines_as_many_rows_as_were_planted_of_each_kind(dirty) -> None:
    told, (last,) = dirty
    found: Counter[str] = Counter()
    for manifest in _every_day(dirty):
        rows = TinyDay(last.root, last.arrived, last.result, manifest).rows("quarantine")
        found.update(reason["rule"] for row in rows for reason in row["reasons"])
    assert {kind: found[rule] for kind, rule in BY_RULE.items()} == {k: told[k] for k in BY_RULE}
    assert found["propensity"] == told["propensity of 0"] + told["propensity of 1.5"]
    assert set(found) <= {*BY_RULE.values(), "propensity", "allowed"}
    assert all(told[kind] > 0 for kind in (*BY_RULE, *REPEATS, "late click"))


def test_repeats_are_counted_as_duplicates_and_every_clean_row_is_kept(dirty) -> None:
    told, _ = dirty
    manifests = _every_day(dirty)
    assert [row for manifest in manifests for row in unbalanced(manifest)] == []
    repeats = sum(row["duplicate"] for manifest in manifests for row in manifest["accounting"])
    assert repeats == sum(told[kind] for kind in REPEATS)
    bags = sum(manifest["tables"]["bags"][0]["rows"] for manifest in manifests)
    assert bags == told["impressions"]


def test_late_clicks_reach_their_bags(dirty) -> None:
    told, (last,) = dirty
    clicks = 0
    for manifest in _every_day(dirty):
        rows = TinyDay(last.root, last.arrived, last.result, manifest).rows("bags")
        clicks += sum(row["clicks"] for row in rows)
    assert told["late click"] == 6 * (len(DAYS) - 1)
    # clicks that happen after the last day's midnight are not written yet
    assert told["clicks"] - 6 <= clicks <= told["clicks"]


# ---- the truth


def test_propensities_sum_to_one_over_the_legal_combinations(clean) -> None:
    shop, _, _ = clean
    for legal, probability in zip(shop.rules.legal, shop.logging.probability, strict=True):
        assert len(legal) == len(probability) == len({tuple(row) for row in legal})
        assert math.isclose(probability.sum(), 1, abs_tol=1e-12)
        assert probability.min() > 0


def test_a_logged_propensity_is_the_policys_and_shows_as_often_as_it_says(clean) -> None:
    shop, _, _ = clean
    size, product = 60_000, 2
    choice, propensity = shop.logging.choose_many(
        np.full(size, product), {}, np.random.default_rng(0)
    )
    place = {tuple(row): i for i, row in enumerate(shop.rules.legal[product])}
    index = np.array([place[tuple(row)] for row in choice])
    probability = shop.logging.probability[product]
    assert np.array_equal(propensity, probability[index])
    count = np.bincount(index, minlength=len(probability))
    surprise = (count - size * probability) / np.sqrt(size * probability * (1 - probability))
    common = size * probability > 10
    assert common.sum() > 20
    assert np.abs(surprise[common]).max() < 4.5


def test_only_what_the_written_catalog_allows_is_ever_shown(clean) -> None:
    _, root, _ = clean
    forbidden = tables(root, "forbidden", "catalog")[DAYS[0]].to_pylist()
    listed: dict[str, list[dict[str, str]]] = {}
    for row in tables(root, "combinations", "catalog")[DAYS[0]].to_pylist():
        listed.setdefault(row["product_id"], []).append(dict(row["creative"]))
    assert len(listed) == 2
    for table in tables(root, "impressions").values():
        for row in table.select(["product_id", "creative"]).to_pylist():
            product, creative = row["product_id"], dict(row["creative"])
            assert set(creative) == set(SLOTS)
            assert product not in listed or creative in listed[product]
            for f in forbidden:
                both = (
                    creative[f["slot_a"]] == f["element_a"]
                    and creative[f["slot_b"]] == f["element_b"]
                )
                assert not (both and f["product_id"] in (None, product))


def by_hand(shop: Shop, p: int, context: dict[str, Any], choice: list[int]) -> float:
    """The formula of truth.py, term by term."""
    truth = shop.truth
    names = [(name, value) for name, values in CONTEXT.items() for value in values]
    on = [place for place, (name, value) in enumerate(names) if context[name] == value]
    odds = BASE + truth.product[p] + truth.hour_effect[context["hour"]]
    odds += sum(truth.context[place] for place in on)
    shown = [(s, k) for s, k in enumerate(choice) if k >= 0]
    odds += sum(truth.element[p, s, k] for s, k in shown)
    odds += sum(truth.crossed[p, s, k, place] for s, k in shown for place in on)
    for (s, k), (t, j) in combinations(shown, 2):
        odds += float(truth.factor[p, s, k] @ truth.factor[p, t, j])
    return 1 / (1 + math.exp(-odds))


def test_the_true_reward_is_the_formulas(clean) -> None:
    shop, _, _ = clean
    product, context = shop.contexts(60)
    rng = np.random.default_rng(1)
    choice = np.stack(
        [shop.rules.legal[p][rng.integers(len(shop.rules.legal[p]))] for p in product]
    )
    choice[::5, 1] = -1
    told = shop.true_reward(product, context, choice)
    rows = [{name: values[i] for name, values in context.items()} for i in range(len(product))]
    wanted = [
        by_hand(shop, p, row, list(c)) for p, row, c in zip(product, rows, choice, strict=True)
    ]
    assert told == pytest.approx(wanted, rel=1e-9)
    names = {
        s: shop.truth.ids[product[0]][i][choice[0, i]]
        for i, s in enumerate(SLOTS)
        if choice[0, i] >= 0
    }
    by_name = shop.true_click(shop.truth.products[product[0]], rows[0], names)
    assert by_name == pytest.approx(wanted[0], rel=1e-9)


def test_clicks_come_as_often_as_the_true_reward_says() -> None:
    from examples.storefront.events import make_displays

    shop = Shop.create(5, 6)
    shown = make_displays(shop.truth, shop.logging, 60_000, np.random.default_rng(2))
    chance = shop.true_reward(shown.product, shown.context, shown.choice)
    spread = math.sqrt(float((chance * (1 - chance)).sum()))
    assert abs(len(shown.clicked) - chance.sum()) < 4 * spread


@pytest.mark.parametrize("seed", range(4))
def test_the_best_is_above_the_logging_policy_which_is_above_uniform(seed: int) -> None:
    shop = Shop.create(seed, 8)
    product, context = shop.contexts(120)
    best = shop.best_value(product, context)
    logging = shop.table_value(shop.logging, product, context)
    assert best > logging > shop.table_value(shop.uniform(), product, context)


def digests(root: Path) -> dict[str, str]:
    files = {file.relative_to(root): file for file in sorted(root.rglob("*")) if file.is_file()}
    return {
        name.as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in files.items()
        if "store" not in name.parts and "work" not in name.parts
    }


def test_the_same_seed_writes_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        shop = Shop.create(seed, 4)
        shop.write_days(tmp_path / name, DAYS[0], 2, 300)
    first, second, other = (digests(tmp_path / name) for name in "abc")
    assert first == second
    shown = [file for file in first if "impressions" in file]
    assert len(shown) > 4
    assert all(first[file] != other[file] for file in shown)
    assert Shop.load(tmp_path / "a/truth.json").truth.products == Shop.create(3, 4).truth.products
