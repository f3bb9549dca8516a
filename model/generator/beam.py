"""The most probable combinations, by the most probable prefixes kept slot by slot."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from model.generator.decode import Scorer
from model.generator.lattice import Lattice
from model.generator.nodes import Nodes

FLOOR, PLACES = -4000.0, 20  # -inf is compared as -4000: with 20 bits for the place it fits int64
FEW = 11  # bits for the place with which a key is a whole number that float64 holds exactly
GRAIN = 2.0**30  # log-probabilities are compared in steps of 1 / GRAIN: noise can't reorder them


@dataclass(frozen=True, eq=False)
class Beam:
    """The best combinations found, best first."""

    combinations: Tensor  # (B, W, S) int64 local indices, -1 = absent
    log_prob: Tensor  # (B, W), -inf = padding: fewer than W are legal
    dropped: tuple[Tensor, ...]  # (B, 0 or 1) each: the most probable prefix that was not kept

    @property
    def bound(self) -> Tensor:
        """(B,) no combination outside is more probable than exp(bound)."""
        none = torch.full_like(self.log_prob[:, :1], -torch.inf)
        return torch.cat([none, *self.dropped], dim=1).amax(1)


def beam_of(scorer: Scorer, lattice: Lattice, product: Tensor, width: int) -> Beam:
    """The `width` most probable prefixes kept at every slot.

    A combination is at most as probable as its prefixes, so the most probable prefix dropped
    bounds all that is missing: where the beam's last is above it, the beam is the exact top.
    """
    nodes, last = Nodes(lattice, product), lattice.slots - 1
    options, parents, dropped = [], [], []
    total = None
    for slot in range(lattice.slots):
        scores = nodes.allowed(scorer.scores(slot, nodes.now))
        grown = functional.log_softmax(scores, dim=-1)  # a way never ends early: something is open
        grown = grown if total is None else total[:, :, None] + grown
        count, ways = grown.shape[2], grown.flatten(1)
        order = _descending(ways, width + 1)
        kept, reached = order[:, :width], ways.gather(1, order)
        total = reached[:, :width]
        dropped.append(reached[:, width:])
        parent = torch.floor_divide(kept, count) if slot else None
        options.append(kept if parent is None else kept.sub(parent, alpha=count))
        parents.append(parent)
        if slot < last:
            scorer.choose(slot, options[-1], parent)
            nodes.follow(kept)
    assert total is not None, "there is at least one slot"
    return Beam(_traced(options, parents[1:]), total, tuple(dropped))


def _traced(options: list[Tensor], parents: list[Tensor]) -> Tensor:
    """(B, W, S) combinations of each slot's kept options (B, W), and of their parents in the slot
    before."""
    found, place = options[-1:], None
    for option, parent in zip(options[-2::-1], parents[::-1], strict=True):
        place = parent if place is None else parent.gather(1, place)
        found.append(option.gather(1, place))
    return torch.stack(found[::-1], 2) - 1


def _descending(grown: Tensor, most: int) -> Tensor:
    """(B, at most `most`) places by rounded value, best first, ties in the order of the options."""
    places = grown.shape[1]
    if places > 2**PLACES:
        order = torch.sort(torch.round(grown * GRAIN), dim=1, descending=True, stable=True)
        return order.indices[:, :most]
    steps = grown.clamp(min=FLOOR).mul_(GRAIN).round_()
    if places <= 2**FEW and grown.dtype == torch.float64:
        keys = torch.add(_backwards(places), steps, alpha=2.0**FEW)
    else:
        keys = steps.long().mul_(2**PLACES).add_(torch.arange(places - 1, -1, -1))
    return keys.topk(min(most, places), dim=1).indices


@lru_cache(maxsize=64)
def _backwards(places: int) -> Tensor:
    with torch.inference_mode(False):
        return torch.arange(places - 1, -1, -1, dtype=torch.float64)
