"""A known world in a table: a made-up shop, its true reward, and logs drawn from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from model.bags import Bags
from model.elements import Elements
from model.reward.scoring import Unread

DEVICES = ("phone", "desk", "tablet")
CONTEXT = {"device": "categorical", "hour": "number"}
WORDS = ("sale", "new", "blue", "warm", "light", "best", "home", "now", "soft", "gift")


@dataclass(frozen=True)
class Prediction:
    reward: np.ndarray
    click: np.ndarray


@dataclass(frozen=True, eq=False)
class TabularPieces:
    """Click chances from per-candidate tables; `doubt` is a candidate's relative spread."""

    base: float
    alone: Tensor  # (B, S, K)
    together: Tensor  # (B, S, K, R)
    doubt: Tensor  # (B, S, K)

    def take(self, rows: Tensor) -> "TabularPieces":
        parts = (self.alone[rows], self.together[rows], self.doubt[rows])
        return TabularPieces(self.base, *parts)

    def mean(self, combinations: Tensor) -> Tensor:
        return self.score(combinations)[0]

    def drawn(self, deviation: float) -> tuple[int, "TabularPieces"]:
        """Four tables whose every second candidate is better and the others worse, and reverse."""
        wave = torch.cos(torch.pi * torch.arange(self.alone.shape[2], dtype=self.alone.dtype))
        steps = [wave * 10 * side * deviation * self.doubt for side in (1, -1)]
        shifted = [self.alone + step for step in (*steps, steps[0].flip(1), steps[1].flip(1))]
        every = torch.arange(len(self.alone)).repeat(4)
        return 4, replace(self.take(every), alone=torch.cat(shifted))

    def singles(self) -> tuple[Tensor, Tensor]:
        mean = torch.sigmoid(self.base + self.alone)
        return mean, mean * self.doubt

    def score(self, combinations: Tensor) -> tuple[Tensor, Tensor]:
        there = (combinations >= 0).to(self.alone.dtype)
        index = combinations.clamp(min=0).transpose(1, 2)  # (B, S, G)
        alone = self.alone.gather(2, index).transpose(1, 2) * there
        doubt = self.doubt.gather(2, index).transpose(1, 2) * there
        wide = index[..., None].expand(*index.shape, self.together.shape[3])
        vectors = self.together.gather(2, wide).transpose(1, 2) * there[..., None]
        pairs = (vectors.sum(2).square() - vectors.square().sum(2)).sum(2) / 2
        mean = torch.sigmoid(self.base + alone.sum(2) + pairs)
        return mean, mean * doubt.sum(2)


@dataclass(frozen=True, eq=False)
class TabularReward:
    """The shop's truth, with the interface of the reward model; rows are rows of Elements."""

    base: float
    alone: np.ndarray  # (m,)
    device: np.ndarray  # (m, devices)
    together: np.ndarray  # (m, R): a pair adds the product of its vectors
    doubt: np.ndarray  # (m,)
    target: str = "click"
    base_rate: float = 0.05

    def pieces(
        self,
        product_id: Sequence[str],
        context: Mapping[str, np.ndarray],
        elements: Elements,
        candidates: np.ndarray,
        device: str = "cpu",
    ) -> TabularPieces:
        known = np.maximum(candidates, 0)
        which = np.array([DEVICES.index(d) if d in DEVICES else 0 for d in context["device"]])
        alone = self.alone[known] + self.device[known, which[:, None, None]]
        parts = (alone, self.together[known], self.doubt[known])
        return TabularPieces(self.base, *(torch.from_numpy(part).to(device) for part in parts))

    def shelf(
        self, product_id: Sequence[str], elements: Elements, candidates: np.ndarray
    ) -> Unread:
        return Unread.of(self, product_id, elements, candidates)

    def predict(self, bags: Bags, elements: Elements) -> Prediction:
        candidates = bags.element[:, :, None]
        pieces = self.pieces(bags.product_id, bags.context, elements, candidates)
        shown = torch.from_numpy(np.where(bags.element >= 0, 0, -1))[:, None]
        reward = pieces.score(shown)[0][:, 0].numpy()
        return Prediction(reward, reward)


@dataclass(frozen=True, eq=False)
class Shop:
    elements: Elements
    truth: TabularReward

    def bags(self, rows: int, seed: int, skew: float = 0.0) -> Bags:
        """Logs of a policy that prefers early candidates by `skew`, with its propensities."""
        rng = np.random.default_rng(seed)
        names = sorted(set(self.elements.product_id.tolist()))
        product = np.array(names, object)[rng.integers(len(names), size=rows)]
        element = np.full((rows, len(self.elements.slots)), -1, np.int32)
        propensity = np.ones(rows)
        for name in names:
            here = np.flatnonzero(product == name)
            for slot, own in enumerate(self.elements.rows_of(name)):
                if not len(own):
                    continue
                chance = np.exp(-skew * np.arange(len(own)))
                chance /= chance.sum()
                picked = rng.choice(len(own), size=len(here), p=chance)
                element[here, slot] = own[picked]
                propensity[here] *= chance[picked]
        bags = bags_of(product, element, context_of(rows, rng), propensity)
        chance = self.truth.predict(bags, self.elements).reward
        return replace(bags, clicks=(rng.random(rows) < chance).astype(float))


def context_of(rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    device = np.array(DEVICES, object)[rng.integers(len(DEVICES), size=rows)]
    return {"device": device, "hour": rng.integers(24, size=rows).astype(float)}


def bags_of(
    product: np.ndarray,
    element: np.ndarray,
    context: dict[str, np.ndarray],
    propensity: np.ndarray | None = None,
) -> Bags:
    rows = len(product)
    known = np.full(rows, np.nan) if propensity is None else propensity
    return Bags(
        product_id=product,
        cluster_id=product,
        policy=np.full(rows, "log", object),
        context=context,
        element=element,
        propensity=known,
        impressions=np.ones(rows),
        clicks=np.zeros(rows),
        conversions=np.zeros(rows),
        value=np.zeros(rows),
        click_mature=np.ones(rows, bool),
        conversion_mature=np.ones(rows, bool),
        history=np.zeros((*element.shape, 0), np.float32),
    )


def row_of(elements: Elements, product: str, combination: Mapping[str, str]) -> np.ndarray:
    """(S,) int32 rows in elements of a combination told by name, -1 where a slot is absent."""
    row = np.full(len(elements.slots), -1, np.int32)
    for slot, element in combination.items():
        at = elements.slots.index(slot)
        row[at] = elements.find(np.array([product], object), at, np.array([element], object))[0]
    return row


def elements_of(counts: Mapping[str, Sequence[int]], slots: Sequence[str], seed: int) -> Elements:
    """`counts[product][slot]` candidates, with words in the first slot and vectors in the last."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "product_id": product,
            "slot": slot,
            "element_id": f"{slot[0]}{k:02d}",
            "text": " ".join(rng.choice(WORDS, 4)) if at == 0 else "",
            "embedding": rng.normal(size=6).tolist() if at == len(slots) - 1 else None,
        }
        for product, sizes in counts.items()
        for at, (slot, size) in enumerate(zip(slots, sizes, strict=True))
        for k in range(size)
    ]
    schema = pa.schema(
        [(name, pa.string()) for name in ("product_id", "slot", "element_id", "text")]
        + [("embedding", pa.list_(pa.float32()))]
    )
    return Elements.from_table(pa.Table.from_pylist(rows, schema=schema), slots)


def shop_of(products: int, sizes: tuple[int, int], seed: int, slots: int = 4) -> Shop:
    """Products with `slots` slots of sizes[0]..sizes[1] candidates and planted effects."""
    rng = np.random.default_rng(seed)
    names = tuple(("title", "image", "highlight", "tag", "price")[:slots])
    counts = {
        f"p{n:03d}": rng.integers(sizes[0], sizes[1] + 1, size=slots).tolist()
        for n in range(products)
    }
    elements = elements_of(counts, names, seed)
    rows = len(elements)
    truth = TabularReward(
        base=-3.0,
        alone=rng.normal(0, 0.35, rows),
        device=rng.normal(0, 0.2, (rows, len(DEVICES))),
        together=rng.normal(0, 0.3, (rows, 2)),
        doubt=np.full(rows, 0.02),
    )
    return Shop(elements, truth)
