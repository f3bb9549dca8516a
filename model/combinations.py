"""What may be shown together: rules, and one product's legal combinations as an automaton.

A product's legal combinations are the paths of an automaton with one layer a slot: a node stands
for "what the choices so far still permit", an edge for one option (a candidate, or absent). Nodes
without a legal completion are cut away when it is built, so a walk along the edges can't end in a
dead end, and counting, listing, checking and masking are all read off the same table.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
import pyarrow as pa

from model.elements import Elements

MOST_NODES = 200_000


@dataclass(frozen=True)
class Forbidden:
    """Two elements never shown together; the same one twice is never shown at all."""

    product_id: str | None
    slot_a: str
    element_a: str
    slot_b: str
    element_b: str


@dataclass(frozen=True)
class Rules:
    """What is allowed: a product with rows in `combinations` allows only these.

    Without such rows every slot that has candidates is filled, unless it is in `optional`;
    at least one slot is. Forbidden pairs hold for both kinds of product.
    """

    combinations: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    forbidden: tuple[Forbidden, ...] = ()
    optional: frozenset[str] = frozenset()

    @staticmethod
    def from_tables(
        combinations: pa.Table | None,
        forbidden: pa.Table | None,
        optional: Iterable[str] = (),
    ) -> "Rules":
        """Rules from the catalog's tables (CONTRACT 2), either of which may be missing."""
        allowed: dict[str, list[Mapping[str, str]]] = {}
        for row in () if combinations is None else combinations.to_pylist():
            allowed.setdefault(str(row["product_id"]), []).append(creative_of(row["creative"]))
        pairs = tuple(
            Forbidden(
                row.get("product_id"),
                row["slot_a"],
                row["element_a"],
                row["slot_b"],
                row["element_b"],
            )
            for row in (() if forbidden is None else forbidden.to_pylist())
        )
        combined = {product: tuple(rows) for product, rows in allowed.items()}
        return Rules(combined, pairs, frozenset(optional))

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """(combinations, forbidden) as `from_tables` reads them."""
        part = pa.struct([("slot", pa.string()), ("element_id", pa.string())])
        rows = [
            {
                "product_id": product,
                "creative": [{"slot": s, "element_id": e} for s, e in creative.items()],
            }
            for product, creatives in self.combinations.items()
            for creative in creatives
        ]
        combinations = pa.schema([("product_id", pa.string()), ("creative", pa.list_(part))])
        names = ("product_id", "slot_a", "element_a", "slot_b", "element_b")
        forbidden = pa.schema([(name, pa.string()) for name in names])
        return (
            pa.Table.from_pylist(rows, schema=combinations),
            pa.Table.from_pylist([vars(pair) for pair in self.forbidden], schema=forbidden),
        )

    @cached_property
    def _forbidden_of(self) -> dict[str | None, list[Forbidden]]:
        grouped: dict[str | None, list[Forbidden]] = {}
        for pair in self.forbidden:
            grouped.setdefault(pair.product_id, []).append(pair)
        return grouped

    def forbidden_of(self, product_id: str) -> list[Forbidden]:
        """The pairs that bind this product: its own and those of every product."""
        return self._forbidden_of.get(product_id, []) + self._forbidden_of.get(None, [])


def creative_of(creative: object) -> dict[str, str]:
    """{slot: element_id} of a creative as JSON text, map, struct of slots or list of structs."""
    if isinstance(creative, str):
        creative = json.loads(creative)
    if isinstance(creative, Mapping):
        pairs = list(creative.items())
    else:
        pairs = [
            (part["slot"], part.get("element_id", part.get("element")))
            if isinstance(part, Mapping)
            else part
            for part in creative or ()  # type: ignore[union-attr]
        ]
    return {str(slot): str(element) for slot, element in pairs if element is not None}


@dataclass(frozen=True, eq=False)
class Space:
    """The legal combinations of one product.

    A combination is a row of local indices, one a slot: `candidates[slot][index]`, -1 = absent.
    An option is a local index + 1, so that option 0 is "absent".
    """

    product_id: str
    candidates: tuple[np.ndarray, ...]  # per slot: int32 rows in Elements, sorted by element_id
    step: np.ndarray  # (node, option) int32: the node it leads to; -1 = no legal completion
    ways: np.ndarray  # (node,) float64: legal completions; the last node is the end of every path

    def count(self) -> int:
        """Number of legal combinations, at least 1 (exact below 2**53)."""
        return int(self.ways[0])

    def enumerate(self, limit: int = 1_000_000) -> np.ndarray:
        """(count, slot) int16, all legal combinations, sorted by local index, absent first.

        Raises ValueError where there are more than `limit`.
        """
        if self.count() > limit:
            raise ValueError(
                f"product {self.product_id!r} has {self.count():,} legal combinations, more than "
                f"the {limit:,} that are listed; use a beam or ask for the top ones"
            )
        prefixes, nodes = np.zeros((1, 0), np.int16), np.zeros(1, np.int64)
        for _ in self.candidates:
            prefix, option = np.nonzero(self.step[nodes] >= 0)
            nodes = self.step[nodes[prefix], option]
            chosen = (option - 1).astype(np.int16)[:, None]
            prefixes = np.concatenate([prefixes[prefix], chosen], axis=1)
        return prefixes

    def legal(self, combinations: np.ndarray) -> np.ndarray:
        """(n,) bool for (n, slot) local indices; an index that no candidate has is illegal."""
        options = np.asarray(combinations, np.int64) + 1
        inside = ((options >= 0) & (options < self.step.shape[1])).all(1)
        nodes = np.where(inside, 0, -1)
        for slot in range(len(self.candidates)):
            chosen = np.where(inside, options[:, slot], 0)
            nodes = np.where(nodes >= 0, self.step[nodes, chosen], -1)
        return nodes >= 0

    def rows(self, combinations: np.ndarray) -> np.ndarray:
        """(n, slot) int32 rows in Elements of (n, slot) local indices, -1 = absent."""
        found = np.full(combinations.shape, -1, np.int32)
        for slot, rows in enumerate(self.candidates):
            shown = combinations[:, slot] >= 0
            found[shown, slot] = rows[combinations[shown, slot]]
        return found


def space_of(product_id: str, elements: Elements, rules: Rules) -> Space:
    """The product's legal combinations.

    An allowed combination that names an element missing from the catalog can't be shown and is
    left out. Raises ValueError, saying why, where nothing is legal.
    """
    candidates = elements.rows_of(product_id)
    if not any(len(rows) for rows in candidates):
        raise ValueError(
            f"product {product_id!r} has no candidate element in any of the slots "
            f"{', '.join(elements.slots)}; expected at least one row in the catalog's elements"
        )
    forbidden = rules.forbidden_of(product_id)
    ruled = forbidden or product_id in rules.combinations
    index = _options(candidates, elements) if ruled else {}
    pairs = _known_pairs(forbidden, index)
    optional = tuple(name in rules.optional for name in elements.slots)
    sizes = tuple(len(rows) for rows in candidates)
    if product_id in rules.combinations:
        start, successors = _allowed_only(product_id, rules, index, pairs, elements.slots)
        step, ways = _automaton(product_id, start, successors, sizes)
    elif pairs:
        start, successors = _all_but_forbidden(sizes, optional, pairs)
        step, ways = _automaton(product_id, start, successors, sizes)
    else:
        step, ways = _without_rules(sizes, optional)
    if ways[0] < 1:
        raise ValueError(
            f"no combination of product {product_id!r} is legal: its slots have "
            f"{', '.join(f'{n} {len(r)}' for n, r in zip(elements.slots, candidates, strict=True))}"
            f" candidates and {len(pairs)} forbidden pairs exclude every choice; correct the "
            "catalog's forbidden table, or make a slot optional"
        )
    return Space(product_id, candidates, step, ways)


Options = dict[tuple[str, str], tuple[int, int]]
Pair = tuple[tuple[int, int], tuple[int, int]]
Successors = Callable[[Hashable, int], dict[int, Hashable]]


def _options(candidates: tuple[np.ndarray, ...], elements: Elements) -> Options:
    """(slot name, element_id) -> (slot, option)."""
    return {
        (elements.slots[slot], str(elements.element_id[row])): (slot, option)
        for slot, rows in enumerate(candidates)
        for option, row in enumerate(rows, start=1)
    }


def _known_pairs(forbidden: list[Forbidden], index: Options) -> list[Pair]:
    """Forbidden pairs of this product's own candidates, the earlier slot first."""
    ends = [
        (index.get((pair.slot_a, pair.element_a)), index.get((pair.slot_b, pair.element_b)))
        for pair in forbidden
    ]
    return [(min(a, b), max(a, b)) for a, b in ends if a is not None and b is not None]


def _allowed_only(
    product_id: str, rules: Rules, index: Options, pairs: list[Pair], slots: tuple[str, ...]
) -> tuple[Hashable, Successors]:
    """A trie over the allowed combinations: a node is the set of those that are still possible."""
    listed = rules.combinations[product_id]
    known = [creative for creative in listed if all(part in index for part in creative.items())]
    legal = [
        chosen
        for chosen in ({index[part] for part in creative.items()} for creative in known)
        if chosen and not any(a in chosen and b in chosen for a, b in pairs)
    ]
    if not legal:
        raise ValueError(
            f"none of the {len(listed)} allowed combinations of product {product_id!r} can be "
            f"shown: {len(listed) - len(known)} name an element that the catalog does not hold, "
            f"{len(known)} are empty or contain a forbidden pair; expected at least one; correct "
            "the catalog's combinations or forbidden table"
        )
    rows = [tuple(dict(chosen).get(slot, 0) for slot in range(len(slots))) for chosen in legal]

    def successors(node: Hashable, slot: int) -> dict[int, Hashable]:
        grouped: dict[int, list[int]] = {}
        for row in node:  # type: ignore[attr-defined]
            grouped.setdefault(rows[row][slot], []).append(row)
        return {option: tuple(kept) for option, kept in grouped.items()}

    return tuple(range(len(rows))), successors


@lru_cache(maxsize=1024)
def _without_rules(
    sizes: tuple[int, ...], optional: tuple[bool, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(step, ways), one table for all products with so many candidates; not to be written to."""
    start, successors = _all_but_forbidden(sizes, optional, [])
    step, ways = _automaton("", start, successors, sizes)
    step.flags.writeable = ways.flags.writeable = False
    return step, ways


def _all_but_forbidden(
    sizes: tuple[int, ...], optional: tuple[bool, ...], pairs: list[Pair]
) -> tuple[Hashable, Successors]:
    """A node is (something is shown yet, options still blocked by the choices so far)."""
    banned = {a for a, b in pairs if a == b}
    blocks: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for a, b in pairs:
        if a[0] < b[0]:
            blocks.setdefault(a, set()).add(b)
    may_skip = [skip or not size for skip, size in zip(optional, sizes, strict=True)]
    last = len(sizes) - 1

    def successors(node: Hashable, slot: int) -> dict[int, Hashable]:
        shown, blocked = node  # type: ignore[misc]
        later = frozenset(option for option in blocked if option[0] > slot)
        reached: dict[int, Hashable] = {}
        if may_skip[slot] and (shown or slot < last):
            reached[0] = (shown, later)
        for option in range(1, sizes[slot] + 1):
            place = (slot, option)
            if place not in blocked and place not in banned:
                adds = blocks.get(place)
                reached[option] = (True, later | adds if adds else later)
        return reached

    return (False, frozenset()), successors


def _automaton(
    product_id: str, start: Hashable, successors: Successors, sizes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(step, ways) of the automaton grown from `start`; edges into dead ends are cut."""
    slots, options = len(sizes), max(sizes) + 1
    layer, tables, made = {start: 0}, [], 1
    for slot in range(slots):
        following: dict[Hashable, int] = {}
        table = np.full((len(layer), options), -1, np.int32)
        for row, node in enumerate(layer):
            for option, target in successors(node, slot).items():
                key = "end" if slot == slots - 1 else target
                table[row, option] = made + following.setdefault(key, len(following))
        made += len(following)
        if made > MOST_NODES:
            raise ValueError(
                f"the rules of product {product_id!r} tangle: more than {MOST_NODES:,} different "
                f"situations after slot {slot + 1} of {slots}; expected fewer forbidden pairs or "
                "fewer candidates"
            )
        tables.append(table)
        layer = following
    step = np.concatenate([*tables, np.full((1, options), -1, np.int32)])
    return step, _cut_dead_ends(step, [len(table) for table in tables])


def _cut_dead_ends(step: np.ndarray, layers: list[int]) -> np.ndarray:
    """Legal completions of every node; `step` loses the edges to nodes that have none."""
    ways = np.zeros(len(step))
    ways[-1] = 1.0
    end = len(step) - 1
    for size in reversed(layers):
        rows = slice(end - size, end)
        step[rows] = np.where(ways[step[rows]] > 0, step[rows], -1)
        ways[rows] = np.where(step[rows] >= 0, ways[step[rows]], 0.0).sum(1)
        end -= size
    return ways
