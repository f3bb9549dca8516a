"""Worlds for the generator's benchmark: planted shops of any size, and a poisoned reward model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch

from model.bags import Bags
from model.elements import Elements
from model.reward.fit import Reward, RewardConfig, fit_reward
from model.reward.pieces import Pieces
from model.reward.scoring import Unread

SLOTS = ("title", "image", "highlight", "tag")
CONTEXT = {"device": "categorical"}
DEVICES = ("phone", "desk", "tablet")
WORDS = ("sale", "new", "blue", "warm", "light", "best", "home", "now", "soft", "gift")
BASE, ALONE, DEVICE, PAIR, RANK = -3.0, 0.3, 0.1, 0.2, 2
BONUS = 1.5  # false log-odds
DOUBT = (0.0, -1.5, -0.5, 0.5, 1.5)  # by member, around the bonus: what no data leaves open


@dataclass(frozen=True, eq=False)
class Planted:
    """A shop with known log-odds; arrays by row of elements."""

    elements: Elements
    alone: np.ndarray  # (m,)
    device: np.ndarray  # (m, devices)
    factor: np.ndarray  # (m, R)

    @staticmethod
    def of(products: int, candidates: int, seed: int) -> "Planted":
        """Products with `candidates` elements in each of the four slots."""
        rng = np.random.default_rng(seed)
        rows = [
            {
                "product_id": f"p{p:03d}",
                "slot": slot,
                "element_id": f"{slot[0]}{k:02d}",
                "text": " ".join(rng.choice(WORDS, 3)) if slot == "title" else "",
                "embedding": rng.normal(size=6).tolist() if slot == "image" else None,
            }
            for p in range(products)
            for slot in SLOTS
            for k in range(candidates)
        ]
        names = ("product_id", "slot", "element_id", "text")
        schema = pa.schema(
            [*((name, pa.string()) for name in names), ("embedding", pa.list_(pa.float32()))]
        )
        elements = Elements.from_table(pa.Table.from_pylist(rows, schema=schema), SLOTS)
        alone = ALONE * rng.normal(size=len(rows))
        device = DEVICE * rng.normal(size=(len(rows), len(DEVICES)))
        factor = (PAIR**2 / RANK) ** 0.25 * rng.normal(size=(len(rows), RANK))
        return Planted(elements, alone, device, factor)

    def chance(self, element: np.ndarray, device: np.ndarray) -> np.ndarray:
        """(n,) true chance of a click of combinations (n, S), rows in elements."""
        total = self.factor[element].sum(1)
        pairs = 0.5 * (total**2 - (self.factor[element] ** 2).sum(1)).sum(1)
        which = np.array([DEVICES.index(name) for name in device])
        single = (self.alone[element] + self.device[element, which[:, None]]).sum(1)
        return 1 / (1 + np.exp(-(BASE + single + pairs)))

    def log(self, displays: int, seed: int) -> Bags:
        """Displays by uniform choice, with their propensities."""
        rng = np.random.default_rng(seed)
        names = np.unique(self.elements.product_id.astype(str))
        product = rng.integers(len(names), size=displays)
        places = np.stack([np.stack(self.elements.rows_of(name)) for name in names.tolist()])
        each = places.shape[2]
        pick = rng.integers(each, size=(displays, len(SLOTS)))
        element = places[product[:, None], np.arange(len(SLOTS)), pick].astype(np.int32)
        device = np.array(DEVICES, object)[rng.integers(len(DEVICES), size=displays)]
        clicks = (rng.random(displays) < self.chance(element, device)).astype(float)
        ones, flags = np.ones(displays), np.ones(displays, bool)
        return Bags(
            product_id=names.astype(object)[product],
            cluster_id=np.arange(displays).astype("U").astype(object),
            policy=np.full(displays, "uniform", object),
            context={"device": device},
            element=element,
            propensity=np.full(displays, each ** -float(len(SLOTS))),
            impressions=ones,
            clicks=clicks,
            conversions=0 * ones,
            value=0 * ones,
            click_mature=flags,
            conversion_mature=flags,
            history=np.zeros((displays, len(SLOTS), 0), np.float32),
        )


def learned(world: Planted, bags: Bags, steps: int) -> Reward:
    """A reward model of the log; its last eighth tunes."""
    late = np.arange(len(bags)) >= len(bags) * 7 // 8
    train, valid = (bags.take(np.flatnonzero(part)) for part in (~late, late))
    config = RewardConfig(steps=steps, id_dropout=0.0, dispersion=1.0)
    return fit_reward(train, valid, world.elements, CONTEXT, config, seed=0)


@dataclass(frozen=True, eq=False)
class Poisoned:
    """A reward model with a false bonus where the log is silent, and the doubt that goes with it.

    `single` (m,) bool rows with a bonus of their own; `left`, `right` (m,) bool: together they
    have one. The ensemble's members disagree there as members without data do.
    """

    honest: Reward
    single: np.ndarray
    left: np.ndarray
    right: np.ndarray
    target: str = "click"

    @property
    def base_rate(self) -> float:
        return self.honest.base_rate

    def pieces(
        self,
        product_id: Sequence[str],
        context: Mapping[str, np.ndarray],
        elements: Elements,
        candidates: np.ndarray,
        device: str = "cpu",
    ) -> Pieces:
        """The honest pieces with the bonus on top."""
        held = self.honest.pieces(product_id, context, elements, candidates, device)
        false = torch.tensor([BONUS + BONUS * doubt for doubt in DOUBT], device=device)

        def marked(rows: np.ndarray) -> torch.Tensor:
            here = rows[np.maximum(candidates, 0)] & (candidates >= 0)
            return torch.from_numpy(here).to(device)[..., None]

        unary = held.unary.clone()
        unary[..., 0] += marked(self.single) * false
        pair = marked(self.left) * false + marked(self.right) * 1.0
        factor = torch.cat([held.factor, pair[..., None].to(held.factor.dtype)], dim=-1)
        return Pieces(held.base, unary, factor, held.scale)

    def shelf(
        self, product_id: Sequence[str], elements: Elements, candidates: np.ndarray
    ) -> Unread:
        """Nothing is kept: the bonus is worked out for every request."""
        return Unread.of(self, product_id, elements, candidates)


@dataclass(frozen=True, eq=False)
class Trap:
    """A world, its log without what is poisoned, and the reward model with the bonus."""

    world: Planted
    bags: Bags
    reward: Poisoned
    told: "Poisoned | Reward"  # what the generator is trained with

    @staticmethod
    def of(kind: str, products: int, displays: int, seed: int, steps: int) -> "Trap":
        """kind `element`: a title never shown; `pair`: a title and an image never together."""
        world = Planted.of(products, 5, seed)
        titles, images = _last_of_each(world.elements, 0), _last_of_each(world.elements, 1)
        nothing = np.zeros(len(titles), bool)
        if kind == "element":
            single, left, right = titles, nothing, nothing
        else:
            single, left, right = nothing, titles, images
        bags = world.log(displays, seed + 1)
        shown = single[bags.element].any(1) | (
            left[bags.element].any(1) & right[bags.element].any(1)
        )
        kept = bags.take(np.flatnonzero(~shown))
        poisoned = Poisoned(learned(world, kept, steps), single, left, right)
        return Trap(world, kept, poisoned, poisoned)

    def caught(self, element: np.ndarray) -> np.ndarray:
        """(n,) bool, True = this combination (n, S) shows what is poisoned."""
        poison = self.reward
        both = poison.left[element].any(1) & poison.right[element].any(1)
        return poison.single[element].any(1) | both


def _last_of_each(elements: Elements, slot: int) -> np.ndarray:
    """(m,) bool: the last candidate of the slot of every product."""
    found = np.zeros(len(elements), bool)
    for name in np.unique(elements.product_id.astype(str)).tolist():
        found[elements.rows_of(name)[slot][-1]] = True
    return found


def asked_of(bags: Bags, requests: int) -> Bags:
    """The first requests of the log, each counted once."""
    rows = bags.take(np.arange(min(requests, len(bags))))
    return replace(rows, impressions=np.ones(len(rows)))
