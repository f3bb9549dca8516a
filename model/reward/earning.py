"""What each candidate earns: its term and half of its interactions, over what it may be shown with.

The other slots show each of their candidates alike, and nothing is known of the context. An
interaction is a product of two elements' factors, so its mean over the other slots' candidates is
the product with their mean factor: every candidate's contribution is exact, and costs one row.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.elements import Elements
from model.reward.calibration import Calibration
from model.reward.encoding import ElementInputs, Encoding
from model.reward.interval import reach
from model.reward.members import mode, spread
from model.reward.network import RewardNetwork


@dataclass(frozen=True, eq=False)
class Earnings:
    """Of m candidates, (m,) each, log-odds of a click.

    contribution and its spread over members; gap and gap_spread: the same less the mean of the
    candidates of its slot; usual: the click rate of the product's average combination.
    """

    contribution: np.ndarray
    spread: np.ndarray
    gap: np.ndarray
    gap_spread: np.ndarray
    usual: np.ndarray

    def per_1000(self, members: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Clicks of 1,000 displays more than with an average candidate: value, low, high (95 %)."""
        odds = np.log(self.usual / (1 - self.usual))
        half = reach(members) * self.gap_spread
        gaps = (self.gap, self.gap - half, self.gap + half)
        rates = (1 / (1 + np.exp(-odds - gap)) for gap in gaps)
        value, low, high = (1000 * (rate - self.usual) for rate in rates)
        return value, low, high


def earnings(
    network: RewardNetwork,
    encoding: Encoding,
    inputs: ElementInputs,
    elements: Elements,
    calibration: Calibration,
) -> Earnings:
    """Of all `elements`, each among the candidates of its product and slot."""
    products, product = np.unique(elements.product_id.astype(str), return_inverse=True)
    product, slots = torch.from_numpy(product), len(elements.slots)
    place = product * slots + inputs.slot
    unknown = {
        name: np.array([np.nan if kind == "number" else ""], object if kind != "number" else float)
        for name, kind in encoding.context.items()
    }
    with torch.no_grad():
        context = torch.from_numpy(encoding.context_rows(unknown, 1))[0]
        outputs = network.elements(inputs)
        history = torch.from_numpy(encoding.history_rows(elements.history, inputs.own.numpy()))
        known = torch.einsum("eh,hm->em", history, network.history[:, 0])
        each = outputs.term[..., 0] + known
        mixed = torch.einsum("c,cmq->mq", context, network.mixing)
        each = each + torch.einsum("emq,mq->em", outputs.context, mixed)
        factor = _mean_of(outputs.pair, place, len(products) * slots)
        around = factor.unflatten(0, (len(products), slots)).sum(1)[product] - factor[place]
        each = calibration.slope * (each + 0.5 * (outputs.pair * around).sum(-1))
        level = _mean_of(each, place, len(products) * slots)
        gap = each - level[place]
        codes = torch.from_numpy(encoding.product_codes(products))
        own = network.product[codes, 0] * (codes > 0)[:, None]
        base = network.bias[0] + own + context @ network.context[:, 0]
        odds = calibration.slope * base + calibration.shift
        odds = odds + level.unflatten(0, (len(products), slots)).sum(1)
        usual = torch.sigmoid(mode(odds))[product]
    parts = (mode(each), spread(each), mode(gap), spread(gap), usual)
    return Earnings(*(part.numpy().astype(np.float64) for part in parts))


def _mean_of(values: Tensor, place: Tensor, places: int) -> Tensor:
    """(places, ...) mean of the values (m, ...) of each place, 0 where there are none."""
    total = values.new_zeros(places, *values.shape[1:]).index_add(0, place, values)
    count = torch.bincount(place, minlength=places).clamp(min=1).to(values.dtype)
    return total / count.reshape(-1, *[1] * (values.dim() - 1))
