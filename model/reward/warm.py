"""A training begins where an earlier model ended: weights by name, what is new from its prior.

Ids, products, slots and context values are matched by name, n-grams by bucket; embeddings and
their kernel features only where they are scaled alike, and bins of numbers where as many stand.
The prior's anchors stay those of the new training, so the mode that it seeks does not depend on
where it begins.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from model.reward.encoding import Encoding
from model.reward.network import RewardNetwork


def warm_start(
    network: RewardNetwork, encoding: Encoding, earlier: RewardNetwork, known: Encoding
) -> None:
    """Copies what `earlier`, of encoding `known`, learned into the network.

    Raises ValueError where the two have other sizes.
    """
    sizes = [(n.members, n.heads, n.rank, n.context_rank, len(n.text)) for n in (network, earlier)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the model to start from has members, heads, ranks and buckets {sizes[1]}, expected "
            f"{sizes[0]}; start from none, or train with the options of that model"
        )
    with torch.no_grad():
        network.bias.copy_(earlier.bias)
        network.text.copy_(earlier.text)
        for name, now, then in _named(encoding, known):
            _copy(getattr(network, name), getattr(earlier, name), now, then)
        for name in _alike(encoding, known):
            getattr(network, name).copy_(getattr(earlier, name))


def _named(
    encoding: Encoding, known: Encoding
) -> Iterator[tuple[str, Sequence[str], Sequence[str]]]:
    """(weight, names of its rows now, and then)."""
    yield "slot", encoding.slots, known.slots
    for name, now, then in (
        ("product", encoding.products, known.products),
        ("shared", encoding.shared, known.shared),
        ("own", encoding.own, known.own),
    ):
        yield name, ["", *now], ["", *then]
    yield "context", _columns(encoding), _columns(known)
    yield "mixing", _columns(encoding), _columns(known)


def _columns(encoding: Encoding) -> list[str]:
    """A name for each column of the context rows."""
    names: list[str] = []
    for name, kind in encoding.context.items():
        if kind == "number":
            count = len(encoding.numbers[name]["edges"]) + 2
            names += [f"{name}\x1f{count}\x1f{place}" for place in range(count)]
        else:
            names += [f"{name}\x1f={value}" for value in ("\x1f", *encoding.categories[name])]
    return names


def _alike(encoding: Encoding, known: Encoding) -> Iterator[str]:
    """Weights whose inputs mean the same in both."""
    if encoding.slots != known.slots:
        return
    if _lifts(encoding) == _lifts(known):
        yield "history"
    if encoding.embedding == known.embedding:
        yield "dense"
    marks, before = encoding.tensors(), known.tensors()
    points = [{k: v for k, v in of.items() if k != "idf"} for of in (marks, before)]
    if points[0].keys() == points[1].keys() and all(
        torch.equal(points[0][k], points[1][k]) for k in points[0]
    ):
        yield "smooth"


def _lifts(encoding: Encoding) -> tuple[int, object]:
    """What the columns of the history are."""
    return encoding.history_width, encoding.history.get("lifts")


def _copy(new: Tensor, old: Tensor, names: Sequence[str], known: Sequence[str]) -> None:
    """Rows of the old weight, into those of the new that have their name."""
    found = {name: row for row, name in enumerate(known)}
    pairs = [(row, found[name]) for row, name in enumerate(names) if name in found]
    if pairs:
        rows, places = torch.from_numpy(np.array(pairs)).T
        new[rows] = old[places].to(new.device)
