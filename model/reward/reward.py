"""The trained reward model: predictions, attribution, and pieces for scoring many combinations."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.bags import Bags
from model.elements import Elements
from model.reward.calibration import Calibration
from model.reward.config import RewardConfig
from model.reward.earning import Earnings, earnings
from model.reward.encode import encode
from model.reward.encoding import ElementInputs, Encoding
from model.reward.members import mode
from model.reward.members import spread as doubt
from model.reward.network import HEADS, VALUE, RewardNetwork, Terms
from model.reward.pieces import Pieces, Scale
from model.reward.shelf import Shelf, cards_of
from model.reward.told import Attribution, Prediction
from model.reward.value import worth
from model.reward.warm import warm_start

ROWS = 65536
READ_AHEAD = 200_000  # elements of a catalog that are read at once and kept, 300 bytes each


class Reward:
    """An ensemble with one calibration; elements and products that it never saw are welcome.

    event: what its first head predicts of a display, "click" or, where the log had no clicks,
    "conversion". values: mean value of a conversion by product (value.py).
    """

    def __init__(
        self,
        network: RewardNetwork,
        encoding: Encoding,
        config: RewardConfig,
        calibration: Calibration,
        values: Mapping[str, float],
        base_rate: float,
        event: str = "click",
    ) -> None:
        self._network = network.eval().requires_grad_(False)
        self._encoding = encoding
        self._config = config
        self._calibration = calibration
        self._values = dict(values)
        self._read: tuple[Elements, ElementInputs] | None = None
        self._carded: tuple[Elements, Tensor] | None = None
        self.target, self.members = config.target, config.members
        self.base_rate, self.event = base_rate, event
        self._direct = event == "conversion"

    def predict(self, bags: Bags, elements: Elements) -> Prediction:
        """What these bags earn a display."""
        found: list[list[np.ndarray]] = []
        for heads in self._parts(bags, elements, self._network.heads):
            logits = [terms.total() for terms in heads]
            scaled = self._scaled(logits[0])
            parts = (torch.sigmoid(mode(scaled)), doubt(torch.sigmoid(scaled)))
            found.append([p.numpy() for p in (*parts, *map(mode, logits[1:]))])
        columns = (
            zip(*found, strict=True) if found else [(np.zeros(0),)] * (self._network.heads + 1)
        )
        clicks, spread, *after = (np.concatenate(column) for column in columns)
        clicks = clicks.astype(np.float64)
        conversion = value = None
        if self._values:
            chance = 1.0 if self._direct else 1 / (1 + np.exp(-after[0].astype(np.float64)))
            ratio = np.exp(after[1].astype(np.float64)) if len(after) > 1 else 1.0
            conversion = clicks * chance
            value = conversion * worth(self._values, bags.product_id) * ratio
        known = {"click": clicks, "conversion": conversion, "value": value}[self.target]
        assert known is not None, "a target without conversions is refused when training"
        return Prediction(clicks, spread, conversion, value, known)

    def rate(self, event: str, bags: Bags, elements: Elements) -> np.ndarray | None:
        """(n,) chance of a "click" or a "conversion" a display; None where its log did not have it."""
        told = self.predict(bags, elements)
        if event == self.event:
            return told.click
        return told.conversion if event == "conversion" else None

    def attribution(self, bags: Bags, elements: Elements) -> Attribution:
        """Contributions in log-odds that sum to the predicted click's."""
        slope, shift = self._calibration.slope, self._calibration.shift
        found: list[list[np.ndarray]] = []
        for (terms,) in self._parts(bags, elements, 1):
            each = slope * (terms.element + terms.pair)
            parts = (mode(each), doubt(each), slope * mode(terms.product))
            found.append([p.numpy() for p in (*parts, slope * mode(terms.context))])
        empty = np.zeros((0, len(self._encoding.slots)))
        columns = (
            list(zip(*found, strict=True)) if found else [(empty,), (empty,), *[(np.zeros(0),)] * 2]
        )
        element, spread, product, context = (
            np.concatenate(column).astype(np.float64) for column in columns
        )
        base = np.full(len(bags), slope * float(mode(self._network.bias[0])) + shift)
        return Attribution(element, spread, base, product, context, np.zeros(len(bags)))

    def earnings(self, elements: Elements) -> Earnings:
        """What each of these candidates earns among those of its product, context left open."""
        inputs = self._inputs(elements)
        return earnings(self._network, self._encoding, inputs, elements, self._calibration)

    def pieces(
        self,
        product_id: Sequence[str],
        context: Mapping[str, np.ndarray],
        elements: Elements,
        candidates: np.ndarray,
        device: str = "cpu",
    ) -> Pieces:
        """What any combination of the candidates (B, S, K; rows in elements, -1 padding) needs."""
        rows = np.arange(len(candidates))
        found = self.shelf(product_id, elements, candidates, device).pieces(rows, context)
        self._network.to("cpu")
        return found

    @torch.no_grad()
    def shelf(
        self,
        product_id: Sequence[str],
        elements: Elements,
        candidates: np.ndarray,
        device: str = "cpu",
    ) -> Shelf:
        """These products' candidates (P, S, K) read once, to make pieces in any context."""
        if self._network.bias.device != torch.device(device):
            self._network.to(device)
        products = np.asarray(product_id, object)
        codes = torch.from_numpy(self._encoding.product_codes(products)).to(device)
        cards, element = self._cards(elements, candidates)
        return Shelf.of(
            self._network,
            self._encoding,
            self._scale(products, device),
            cards,
            codes,
            torch.from_numpy(element).to(device),
        )

    def _cards(self, elements: Elements, candidates: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """(`cards_of` some elements, the candidates' places among these int64, -1 padding).

        A catalog that is not too large is read once, and then has the same bits in any company.
        """
        device = self._network.bias.device
        if len(elements) > READ_AHEAD:
            used, place = np.unique(np.maximum(candidates, 0), return_inverse=True)
            place = np.where(candidates >= 0, place.reshape(candidates.shape), -1)
            return self._carded_of(elements, used), place
        held = self._carded
        if held is None or held[0] is not elements or held[1].device != device:
            with torch.inference_mode(False), torch.no_grad():
                held = elements, self._carded_of(elements, np.arange(len(elements)))
            self._carded = held
        return held[1], candidates.astype(np.int64)

    def _carded_of(self, elements: Elements, rows: np.ndarray) -> Tensor:
        device = self._network.bias.device
        inputs = self._inputs_of(elements, rows)
        own = inputs.own.numpy()
        history = torch.from_numpy(self._encoding.history_rows(elements.history[rows], own))
        inputs = inputs.to(str(device))
        return cards_of(self._network, self._network.elements(inputs), history.to(device))

    def starts(self, config: RewardConfig) -> bool:
        """Whether a training of this config can begin from here (warm.py)."""
        own, sizes = self._config, ("members", "interaction", "context_rank", "buckets")
        heads = HEADS + (config.target == "value")
        alike = all(getattr(own, name) == getattr(config, name) for name in sizes)
        return alike and heads == self._network.heads

    def warm(self, network: RewardNetwork, encoding: Encoding) -> None:
        """Copies what this model learned into a network that is about to be trained."""
        warm_start(network, encoding, self._network, self._encoding)

    def _parts(self, bags: Bags, elements: Elements, heads: int) -> list[list[Terms]]:
        """Terms of the first heads, a chunk of rows at a time."""
        if not len(bags):
            return []
        used, place = np.unique(np.maximum(bags.element, 0), return_inverse=True)
        inputs = self._inputs_of(elements, used)
        own = inputs.own.numpy()
        element = np.where(bags.element >= 0, place.reshape(bags.element.shape), -1)
        with torch.no_grad():
            outputs = self._network.elements(inputs)
            found = []
            for start in range(0, len(bags), ROWS):
                rows = np.arange(start, min(start + ROWS, len(bags)))
                batch = encode(
                    self._encoding, self._untold(bags.take(rows), element[rows], own), element[rows]
                )
                found.append([self._network.terms(outputs, batch, h) for h in range(heads)])
        return found

    def _untold(self, bags: Bags, element: np.ndarray, own: np.ndarray) -> Bags:
        """The bags of elements (n, S), places of own codes, with the history that ids lack."""
        if not bags.history.shape[2]:
            return bags
        codes = np.where(element >= 0, own[np.maximum(element, 0)], 0)
        return replace(bags, history=self._encoding.untold(bags.history, codes))

    def _inputs_of(self, elements: Elements, rows: np.ndarray) -> ElementInputs:
        """What the network reads of these rows of elements; a large catalog's others are not read."""
        if len(elements) > READ_AHEAD:
            return self._encoding.element_inputs(elements.take(rows))
        return self._inputs(elements).take(torch.from_numpy(rows))

    def _inputs(self, elements: Elements) -> ElementInputs:
        """What the network reads of these elements; the last ones asked of are remembered."""
        if self._read is None or self._read[0] is not elements:
            self._read = (elements, self._encoding.element_inputs(elements))
        return self._read[1]

    def _scaled(self, logits: Tensor) -> Tensor:
        return self._calibration.slope * logits + self._calibration.shift

    def _scale(self, product_id: np.ndarray, device: str) -> Scale:
        known = torch.from_numpy(worth(self._values, product_id)).to(device, torch.float32)
        slope, shift = self._calibration.slope, self._calibration.shift
        return Scale(slope, shift, self.target, known, self._direct)

    def log_ratio(self, bags: Bags, elements: Elements) -> np.ndarray:
        """(n,) log of a conversion's worth against its product's mean; 0 without a value head."""
        if self._network.heads <= VALUE:
            return np.zeros(len(bags))
        parts = self._parts(bags, elements, self._network.heads)
        return np.concatenate([np.zeros(0), *(mode(h[VALUE].total()).numpy() for h in parts)])

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON from which from_state makes the same model."""
        tensors = {
            k: v.detach().clone().contiguous() for k, v in self._network.state_dict().items()
        }
        tensors |= self._encoding.tensors()
        described = {
            "config": asdict(self._config),
            "encoding": self._encoding.to_json(),
            "calibration": asdict(self._calibration),
            "values": self._values,
            "base_rate": self.base_rate,
            "heads": self._network.heads,
            "event": self.event,
        }
        return tensors, described

    @staticmethod
    def from_state(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> "Reward":
        """The model of a state; predictions are the same to the last bit."""
        heads = described.get("heads", HEADS)  # states from before the value head lack it
        if heads not in (HEADS, VALUE + 1):
            raise ValueError(
                f"the reward model has {heads} heads, expected {HEADS} or {VALUE + 1}; a newer "
                "version wrote it: read it with that one, or train again"
            )
        config = RewardConfig(**described["config"])
        encoding = Encoding.from_json(described["encoding"], tensors)
        network = RewardNetwork(encoding, config, heads)
        blank = {"smooth": network.smooth.detach()}  # states from before smooth terms lack it
        weights = {k: v for k, v in tensors.items() if not Encoding.owns(k)}
        network.load_state_dict(blank | weights)
        calibration = Calibration(**described["calibration"])
        return Reward(
            network,
            encoding,
            config,
            calibration,
            described["values"],
            described["base_rate"],
            described.get("event", "click"),
        )
