from itertools import product as crossed

import numpy as np
import pyarrow as pa
import pytest
from tabular_reward import elements_of

from model.combinations import Forbidden, Rules, Space, space_of

SLOTS = ("title", "image", "tag")


@pytest.fixture(scope="module")
def elements():
    return elements_of({"a": (3, 2, 2), "b": (2, 2, 0), "wide": (1000, 1, 1)}, SLOTS, seed=1)


def listed(space: Space) -> list[tuple[int, ...]]:
    return [tuple(row) for row in space.enumerate().tolist()]


def test_without_rules_every_slot_is_filled(elements):
    space = space_of("a", elements, Rules())
    assert listed(space) == list(crossed(range(3), range(2), range(2)))
    assert space.count() == 12


def test_a_slot_without_candidates_is_absent(elements):
    assert listed(space_of("b", elements, Rules())) == [(t, i, -1) for t in (0, 1) for i in (0, 1)]


def test_an_optional_slot_may_be_absent_but_not_every_slot(elements):
    space = space_of("b", elements, Rules(optional=frozenset(SLOTS)))
    expected = [row for row in crossed((-1, 0, 1), (-1, 0, 1), (-1,)) if row != (-1, -1, -1)]
    assert listed(space) == expected


def test_an_allow_list_allows_its_rows_only(elements):
    rows = ({"title": "t02", "image": "i00"}, {"title": "t00", "image": "i01", "tag": "t01"})
    space = space_of("a", elements, Rules({"a": rows}))
    assert listed(space) == [(0, 1, 1), (2, 0, -1)]
    assert not space.legal(np.array([[0, 0, 0], [2, 0, 0]])).any()


def test_an_allowed_row_with_an_element_gone_from_the_catalog_is_left_out(elements):
    rows = ({"title": "gone", "image": "i00"}, {"title": "t01", "image": "i01"})
    assert listed(space_of("a", elements, Rules({"a": rows}))) == [(1, 1, -1)]


def test_forbidden_pairs_bind_their_product_and_those_of_none_bind_all(elements):
    own = Forbidden("a", "title", "t00", "tag", "t01")
    all_products = Forbidden(None, "image", "i01", "title", "t01")
    rules = Rules(forbidden=(own, all_products))
    a, b = listed(space_of("a", elements, rules)), listed(space_of("b", elements, rules))
    assert not any(t == 0 and g == 1 for t, _, g in a)
    assert not any(t == 1 and i == 1 for t, i, _ in a + b)
    assert (len(a), len(b)) == (12 - 2 - 2, 3)


def test_an_element_forbidden_with_itself_is_never_shown(elements):
    rules = Rules(forbidden=(Forbidden(None, "image", "i00", "image", "i00"),))
    assert {row[1] for row in listed(space_of("a", elements, rules))} == {1}


def test_forbidden_pairs_hold_inside_an_allow_list(elements):
    rows = ({"title": "t00", "image": "i00"}, {"title": "t01", "image": "i00"})
    rules = Rules({"a": rows}, (Forbidden("a", "title", "t00", "image", "i00"),))
    assert listed(space_of("a", elements, rules)) == [(1, 0, -1)]


def test_dead_ends_are_cut_before_they_are_entered(elements):
    """t00 goes with each image, but no tag goes with t00: the walk may not even begin with t00."""
    rules = Rules(
        forbidden=tuple(Forbidden("a", "title", "t00", "tag", tag) for tag in ("t00", "t01"))
    )
    space = space_of("a", elements, rules)
    assert space.step[0].tolist()[1] == -1
    assert {row[0] for row in listed(space)} == {1, 2}


@pytest.mark.parametrize(
    ("product", "rules", "says"),
    [
        ("nobody", Rules(), "'nobody' has no candidate element"),
        ("a", Rules({"a": ({"title": "gone"},)}), "1 name an element that the catalog"),
        ("a", Rules({"a": ({},)}), "are empty or contain a forbidden pair"),
        (
            "a",
            Rules({"a": ({"title": "t00", "image": "i00"},)},
                  (Forbidden(None, "title", "t00", "image", "i00"),)),
            "none of the 1 allowed combinations",
        ),
        (
            "a",
            Rules(forbidden=tuple(Forbidden(None, "tag", t, "tag", t) for t in ("t00", "t01"))),
            "no combination of product 'a' is legal",
        ),
    ],
)  # fmt: skip
def test_a_product_without_a_legal_combination_is_refused_with_the_reason(
    elements, product, rules, says
):
    with pytest.raises(ValueError, match=says):
        space_of(product, elements, rules)


def test_a_list_longer_than_its_limit_is_refused(elements):
    space = space_of("a", elements, Rules())
    with pytest.raises(ValueError, match="12 legal combinations, more than the 11"):
        space.enumerate(limit=11)


def test_a_thousand_candidates_in_a_slot(elements):
    space = space_of("wide", elements, Rules())
    assert space.count() == 1000
    assert space.legal(np.array([[999, 0, 0], [1000, 0, 0]])).tolist() == [True, False]


def test_rules_that_tangle_too_much_are_refused(elements, monkeypatch):
    monkeypatch.setattr("model.combinations.MOST_NODES", 5)
    pairs = tuple(Forbidden("a", "title", f"t0{i}", "tag", f"t0{i}") for i in range(2))
    assert space_of("a", elements, Rules()).count() == 12
    with pytest.raises(ValueError, match="rules of product 'a' tangle: more than 5"):
        space_of("a", elements, Rules(forbidden=pairs))


def test_rows_are_the_rows_of_elements(elements):
    space = space_of("a", elements, Rules(optional=frozenset({"tag"})))
    combinations = space.enumerate()
    rows = space.rows(combinations)
    assert (rows[combinations < 0] == -1).all()
    slot, shown = np.nonzero(combinations >= 0)[1], rows[combinations >= 0]
    assert (elements.slot[shown] == slot).all()
    assert (elements.product_id[shown] == "a").all()


CREATIVES = [
    [{"slot": "title", "element": "t0"}, {"slot": "image", "element": "i1"}],
    [{"slot": "title", "element_id": "t0"}, {"slot": "image", "element_id": "i1"}],
    {"title": "t0", "image": "i1", "tag": None},
    '{"title": "t0", "image": "i1"}',
]


@pytest.mark.parametrize("creative", CREATIVES)
def test_rules_are_read_from_every_form_of_a_creative(creative):
    table = pa.Table.from_pylist([{"product_id": "a", "creative": creative}])
    rules = Rules.from_tables(table, None, ["tag"])
    assert rules.combinations == {"a": ({"title": "t0", "image": "i1"},)}
    assert rules.optional == {"tag"}


def test_rules_are_read_from_a_map():
    kind = pa.map_(pa.string(), pa.string())
    column = pa.array([[("title", "t0"), ("image", "i1")]], kind)
    rules = Rules.from_tables(pa.table({"product_id": ["a"], "creative": column}), None, ())
    assert rules.combinations == {"a": ({"title": "t0", "image": "i1"},)}


def test_rules_round_trip_through_their_tables():
    rules = Rules(
        {"a": ({"title": "t0"}, {"title": "t1", "image": "i0"}), "b": ({"image": "i2"},)},
        (Forbidden(None, "title", "t0", "tag", "g0"), Forbidden("a", "title", "t1", "tag", "g0")),
        frozenset({"tag"}),
    )
    assert Rules.from_tables(*rules.tables(), rules.optional) == rules
    assert Rules.from_tables(*Rules().tables(), ()) == Rules()
