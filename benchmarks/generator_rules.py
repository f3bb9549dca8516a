"""Products with every kind of rule, an untrained loud network over them, and the rules' words."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product as cartesian

import numpy as np
import torch

from benchmarks.generator_worlds import CONTEXT, DEVICES, SLOTS, Planted
from model.combinations import Forbidden, Rules, Space, space_of
from model.generator.encoding import Encoding
from model.generator.hints import Caution
from model.generator.network import Sizes
from model.generator.policy import Asked, Generator, Proposer, new_network

LOUD = 3.0  # scale of the deciding weights, so that probabilities are far from even
OPTIONAL = frozenset({"highlight", "tag"})
CANDIDATES = 6


@dataclass(frozen=True, eq=False)
class Ruled:
    """Spaces of the products, what samples them, and what is legal by the rules' words.

    legal (P, (K + 1) ** S) bool by raveled option, worked out without the automaton.
    """

    spaces: list[Space]
    proposer: Proposer
    legal: np.ndarray

    @staticmethod
    def of(products: int, seed: int) -> "Ruled":
        """A third of the products each: forbidden pairs, an allow-list, both."""
        world, rng = Planted.of(products, CANDIDATES, seed), np.random.default_rng(seed)
        names = [str(n) for n in np.unique(world.elements.product_id.astype(str))]
        rules = _rules(names, rng)
        spaces = [space_of(name, world.elements, rules) for name in names]
        legal = np.stack([_by_the_word(name, rules) for name in names])
        return Ruled(spaces, _loud(world, seed).over(world.elements, spaces), legal)

    def sample(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(product (n,), combinations (n, S) local indices, -1 = absent)."""
        requests, each = 200, -(-count // 200)
        product = rng.integers(len(self.spaces), size=requests)
        context = {"device": np.array(DEVICES, object)[rng.integers(3, size=requests)]}
        hint = torch.from_numpy(rng.normal(size=(requests, len(SLOTS), CANDIDATES + 1)))
        asked = Asked(product, context, hint)
        shown = self.proposer.sample(asked, torch.arange(requests), each, rng).numpy()
        wide = np.repeat(product, each)
        return wide[:count], shown.reshape(-1, len(SLOTS))[:count]


def illegal_among(ruled: Ruled, product: np.ndarray, shown: np.ndarray) -> int:
    """How many of n combinations (n, S) break the rules' words."""
    place = np.ravel_multi_index(tuple((shown + 1).T), (CANDIDATES + 1,) * len(SLOTS))
    return int((~ruled.legal[product, place]).sum())


def _rules(names: list[str], rng: np.random.Generator) -> Rules:
    listed, pairs = {}, []
    for number, name in enumerate(names):
        if number % 3 != 1:
            pairs += [_pair(name, rng) for _ in range(8)]
        if number % 3 != 0:
            listed[name] = tuple(_some(rng) for _ in range(60))
    return Rules(listed, (*pairs, _pair(None, rng)), OPTIONAL)


def _pair(name: str | None, rng: np.random.Generator) -> Forbidden:
    a, b = sorted(rng.choice(len(SLOTS), size=2, replace=False).tolist())
    first, second = rng.integers(CANDIDATES, size=2)
    return Forbidden(name, SLOTS[a], _named(a, first), SLOTS[b], _named(b, second))


def _some(rng: np.random.Generator) -> dict[str, str]:
    shown = rng.random(len(SLOTS)) < 0.8
    shown[0] = True
    picks = rng.integers(CANDIDATES, size=len(SLOTS))
    return {SLOTS[s]: _named(s, picks[s]) for s in np.flatnonzero(shown).tolist()}


def _named(slot: int, candidate: int) -> str:
    return f"{SLOTS[slot][0]}{candidate:02d}"


def _by_the_word(name: str, rules: Rules) -> np.ndarray:
    """((K + 1) ** S,) bool: what CONTRACT 2 allows, one combination at a time."""
    return np.array([_allowed(name, shown, rules) for shown in _every()])


def _every() -> Iterator[dict[str, str]]:
    for options in cartesian(range(CANDIDATES + 1), repeat=len(SLOTS)):
        yield {SLOTS[s]: _named(s, o - 1) for s, o in enumerate(options) if o}


def _allowed(name: str, shown: dict[str, str], rules: Rules) -> bool:
    held = set(shown.items())
    for pair in rules.forbidden:
        both = {(pair.slot_a, pair.element_a), (pair.slot_b, pair.element_b)}
        if pair.product_id in (None, name) and both <= held:
            return False
    if name in rules.combinations:
        return shown in [dict(one) for one in rules.combinations[name]]
    return bool(shown) and all(slot in shown or slot in OPTIONAL for slot in SLOTS)


def _loud(world: Planted, seed: int) -> Generator:
    elements = world.elements
    encoding = Encoding.fit(
        elements,
        np.arange(len(elements)),
        sorted(set(elements.product_id.tolist())),
        {"device": np.array(DEVICES, object)},
        CONTEXT,
        bins=4,
        buckets=64,
        text_tokens=12,
    )
    sizes = Sizes.of(encoding, 16, heads=2, layers=1)
    network = new_network(sizes, seed)
    with torch.no_grad():
        network.query.weight.mul_(LOUD)
        network.choice.weight.mul_(LOUD)
        network.hint.fill_(0.2)
        network.absent.normal_(generator=torch.Generator().manual_seed(seed))
    return Generator(network, encoding, Caution(pessimism=1.0, limit=0.5))
