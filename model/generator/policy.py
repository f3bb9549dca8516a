"""The generator as others use it: trained weights that propose combinations for products.

Proposals are computed in float64, so that the same request has the same probabilities alone and
in a batch (to about 1e-12).
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.combinations import Space
from model.elements import Elements
from model.generator import decode
from model.generator.beam import Beam, beam_of
from model.generator.cells import take_context
from model.generator.encoding import Encoding, Inputs
from model.generator.hints import Caution, hints
from model.generator.lattice import Lattice
from model.generator.network import Encoded, Network, Sizes
from model.generator.places import alone_of, places_of
from model.generator.rows import taken
from model.reward.scoring import Scores

HALF = 0.5
READ_AHEAD = 200_000  # elements of a catalog that are read at once and kept, 8 x width bytes each
AT_ONCE = 20_000  # of them, some kilobyte each while they are read
NUMBERS = 16_000_000  # numbers looked up at once: rows x slots x options x width


@dataclass(frozen=True, eq=False)
class Shelf:
    """The candidates of a lattice's products as the network reads them."""

    inputs: Inputs
    place: np.ndarray  # (P, S, K) int64 row in inputs, -1 = padding
    product: np.ndarray  # (P,) int64

    @staticmethod
    def of(encoding: Encoding, inputs: Inputs, lattice: Lattice) -> "Shelf":
        """Of the inputs of the lattice's candidates, in the order of its rows."""
        taken = lattice.rows >= 0
        place = np.full(lattice.rows.shape, -1, np.int64)
        place[taken] = np.arange(int(taken.sum()))
        names = [space.product_id for space in lattice.spaces]
        return Shelf(inputs, place, encoding.product_index(names))

    def to(self, device: str) -> "Shelf":
        return Shelf(self.inputs.to(device), self.place, self.product)

    def encode(
        self, network: Network, products: np.ndarray | None = None, hide: "Hide | None" = None
    ) -> Encoded:
        """Some products (default: all) after the encoder; `hide` hides ids in training."""
        place = self.place if products is None else self.place[products]
        number = self.product if products is None else self.product[products]
        device = self.inputs.dense.device
        places, rows = places_of(place, device)
        inputs, known = self.inputs.take(rows), torch.from_numpy(number).to(device)
        if hide is not None:
            hidden = hide.candidate.flatten()[places.card]
            inputs = Inputs(inputs.dense, inputs.tokens, inputs.identity.masked_fill(hidden, 0))
            known = known.masked_fill(hide.product, 0)
        weight = next(network.parameters())
        inputs = Inputs(inputs.dense.to(weight.dtype), inputs.tokens, inputs.identity)
        return network.encode(inputs, places, known)


@dataclass(frozen=True, eq=False)
class Hide:
    """Id dropout: product (P,) and candidate (P, S x K) bool, True = its id is hidden."""

    product: Tensor
    candidate: Tensor

    @staticmethod
    def drawn(share: float, products: int, cards: int, chance: torch.Generator) -> "Hide":
        """A product is seen as new with chance `share`, then half of its candidates' ids are
        hidden."""
        dice = torch.rand(products, 1 + cards, generator=chance, device=chance.device)
        new = dice[:, 0] < share
        return Hide(new, new[:, None] & (dice[:, 1:] < HALF))

    def take(self, rows: Tensor) -> "Hide":
        return Hide(self.product[rows], self.candidate[rows])


@dataclass(frozen=True, eq=False)
class Asked:
    """B requests: product (B,) int64 position in the lattice, context arrays, hints.

    begun: what a network's walks begin with, None = to be worked out, as for another network.
    """

    product: np.ndarray
    context: Mapping[str, np.ndarray]
    hint: Tensor  # (B, S, K + 1) float64
    begun: decode.Begun | None = None

    def take(self, rows: np.ndarray) -> "Asked":
        context, which = take_context(self.context, rows), torch.from_numpy(rows)
        begun = None if self.begun is None else self.begun.take(which)
        return Asked(self.product[rows], context, self.hint[which], begun)


class Generator:
    """A trained policy over legal combinations.

    `over(...)` binds it to products; what it returns samples, searches and gives exact
    log-probabilities.
    """

    def __init__(self, network: Network, encoding: Encoding, caution: Caution):
        self.network, self.encoding, self.caution = network.eval(), encoding, caution
        self._exact = copy.deepcopy(network).cpu().double().requires_grad_(False)
        self._read: tuple[Elements, Tensor] | None = None

    def over(self, elements: Elements, spaces: Sequence[Space]) -> "Proposer":
        """Proposals for these products, whose spaces were made of these elements."""
        lattice = Lattice.pack(spaces)
        alone = spaces[0] if len(spaces) == 1 else None
        with torch.no_grad():
            known = self._contents(elements, lattice.rows[lattice.rows >= 0])
            number = self.encoding.product_index([space.product_id for space in spaces])
            places = places_of(lattice.rows, known.device)[0] if alone is None else alone_of(alone)
            encoded = self._exact.mixed(known, places, torch.from_numpy(number))
        return Proposer(lattice, Learned(self.encoding, self._exact, encoded, self.caution))

    def _contents(self, elements: Elements, rows: np.ndarray) -> Tensor:
        """(n, width) float64; a catalog that is not too large is read once, before it is asked."""
        if len(elements) > READ_AHEAD:
            return self._contents_of(elements, rows)
        if self._read is None or self._read[0] is not elements:
            every = np.arange(len(elements))
            parts = [every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE)]
            with torch.inference_mode(False), torch.no_grad():
                self._read = elements, torch.cat([self._contents_of(elements, p) for p in parts])
        return self._read[1].index_select(0, torch.from_numpy(rows))

    def _contents_of(self, elements: Elements, rows: np.ndarray) -> Tensor:
        inputs = self.encoding.inputs(elements, rows)
        known = Inputs(inputs.dense.double(), inputs.tokens, inputs.identity)
        return self._exact.contents(known)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, JSON) that `from_state` turns back into the same policy."""
        tensors = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self.network.state_dict().items()
        }
        return tensors, {
            "sizes": asdict(self.network.sizes),
            "encoding": self.encoding.state(),
            "caution": asdict(self.caution),
        }

    @staticmethod
    def from_state(tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> "Generator":
        network = new_network(Sizes(**state["sizes"]), seed=0)
        network.load_state_dict(dict(tensors))
        encoding = Encoding.from_state(state["encoding"])
        return Generator(network, encoding, Caution(**state["caution"]))


@dataclass(frozen=True, eq=False)
class Learned:
    """What a proposer with weights knows: the generator's parts, and its products encoded."""

    encoding: Encoding
    network: Network
    encoded: Encoded
    caution: Caution


class Proposer:
    """A policy bound to products; without weights it is uniform over the legal combinations.

    Requests are made by `asked`; combinations are (B, G, S) local indices, -1 = absent.
    """

    def __init__(self, lattice: Lattice, learned: "Learned | None" = None):
        self.lattice, self._learned = lattice, learned

    def asked(
        self, product: np.ndarray, context: Mapping[str, np.ndarray], pieces: Scores
    ) -> Asked:
        """Requests with the hints that the reward model's pieces (of the same rows) give."""
        known, which = self._learned, torch.from_numpy(product)
        if known is None:
            return Asked(product, context, torch.zeros(len(product), 0))
        hint = hints(pieces, taken(self.lattice.present, which), known.caution)
        return Asked(product, context, hint, self._begun(known, which, context, hint))

    @torch.no_grad()
    def _begun(
        self, known: "Learned", product: Tensor, context: Mapping[str, np.ndarray], hint: Tensor
    ) -> decode.Begun:
        coded = known.encoding.context_rows(context, len(product)).double()
        start, leaning = (
            known.network.begin(known.encoded, product, coded),
            known.network.leaning(hint),
        )
        closed = self.lattice.closed
        if closed is not None:
            leaning = leaning.masked_fill(taken(closed, product), -torch.inf)
        return decode.Begun(known.network, start, leaning)

    def _scorer(self, asked: Asked, groups: int, row: Tensor | None = None) -> decode.Reader:
        known, product, begun = self._learned, torch.from_numpy(asked.product), asked.begun
        if known is not None and (begun is None or begun.network is not known.network):
            begun = self._begun(known, product, asked.context, asked.hint)
        if row is not None:
            product, begun = taken(product, row), begun and begun.take(row)
        if known is None or begun is None:
            return decode.Even(self.lattice, product)
        unread = begun.start, asked.hint
        return decode.Pointer(known.network, known.encoded, product, *unread, groups, begun)

    def _parts(self, asked: Asked, row: Tensor) -> Iterator[tuple[Asked, Tensor, slice]]:
        """Runs of rows that fit in memory: (their requests, row by request, the run)."""
        width = 1 if self._learned is None else self._learned.network.sizes.width
        cards = self.lattice.slots * self.lattice.step.shape[1]
        rows = max(NUMBERS // (cards * width), 1)
        if len(row) <= rows:
            yield asked, row, slice(None)
            return
        for start in range(0, len(row), rows):
            used, own = torch.unique(row[start : start + rows], return_inverse=True)
            yield asked.take(used.numpy()), own, slice(start, start + rows)

    @torch.no_grad()
    def log_prob(
        self, asked: Asked, row: Tensor, combinations: Tensor, legal: bool = False
    ) -> Tensor:
        """(n, G) float64 exact log-probabilities of (n, G, S) combinations, -inf where illegal.

        `row` (n,) says which of the requests each line belongs to. legal: all are known to be.
        """
        found = []
        for part, own, here in self._parts(asked, row):
            scorer = self._scorer(part, combinations.shape[1], own)
            which = taken(torch.from_numpy(part.product), own)
            shown = combinations[here]
            found.append(decode.log_prob(scorer, self.lattice, which, shown, legal))
        return found[0] if len(found) == 1 else torch.cat(found)

    @torch.no_grad()
    def sample(self, asked: Asked, row: Tensor, draws: int, rng: np.random.Generator) -> Tensor:
        """(n, draws, S) combinations, each drawn with its exact probability; `row` as above."""
        found = torch.empty(len(row), draws, self.lattice.slots, dtype=torch.int64)
        for part, own, here in self._parts(asked, row):
            uniform = torch.from_numpy(rng.random((len(own), draws, self.lattice.slots)))
            which, choice = torch.from_numpy(part.product)[own], decode.drawn(uniform)
            scorer = self._scorer(part, draws, own)
            walk = decode.walk(scorer, self.lattice, which, draws, choice)
            found[here] = walk.options - 1
        return found

    @torch.no_grad()
    def beam(self, asked: Asked, width: int) -> Beam:
        """The most probable combinations found with `width` prefixes kept a slot."""
        which = torch.from_numpy(asked.product)
        found = beam_of(self._scorer(asked, 1), self.lattice, which, width)
        if self._learned is None:  # all alike, so none outside is more probable
            return replace(found, dropped=(-self.lattice.log_count[which][:, None],))
        return found

    def take(self, product: int) -> "Proposer":
        """The proposals of one of its products."""
        space = self.lattice.spaces[product]
        if self._learned is None:
            return Proposer(Lattice.pack([space]))
        encoded = self._learned.encoded.take(
            product, space.step.shape[1], sum(len(rows) for rows in space.candidates)
        )
        return Proposer(Lattice.pack([space]), replace(self._learned, encoded=encoded))

    @staticmethod
    def join(proposers: Sequence["Proposer"]) -> "Proposer":
        """Proposers of one generator side by side, products in their order."""
        lattice = Lattice.pack([s for one in proposers for s in one.lattice.spaces])
        learned = [one._learned for one in proposers if one._learned is not None]
        if not learned:
            return Proposer(lattice)
        encoded = Encoded.join([one.encoded for one in learned])
        return Proposer(lattice, replace(learned[0], encoded=encoded))


def new_network(sizes: Sizes, seed: int) -> Network:
    """A network with weights drawn from the seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(sizes)
