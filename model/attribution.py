"""What the elements of a version's products earn, as a table."""

import numpy as np
import pyarrow as pa

from model.arrow import compute as pc
from model.elements import Elements
from model.reward.interval import reach
from model.reward.reward import Reward

EARNED = ("contribution", "low", "high", "per_1000", "per_1000_low", "per_1000_high")
MOST_TEXT = 120  # characters of an element's text


def attribution_table(reward: Reward, elements: Elements) -> pa.Table:
    """A row a candidate, by product and slot, best first.

    contribution, low, high: log-odds of a click with a 95 % interval, half of every interaction
    included, averaged over what the other slots may show. per_1000 with its own interval: clicks
    of 1,000 displays more than with an average candidate of its slot. Context is left open. `low`
    and `high` also hold what is open of the slot's own level, which every candidate shares and which
    no log tells from the base; what tells candidates apart are the bounds of per_1000. Bounds are
    null for a model of a single member, which cannot say how sure it is.
    """
    found = reward.earnings(elements)
    half = reach(reward.members) * found.spread
    low, high = found.contribution - half, found.contribution + half
    numbers = (found.contribution, low, high, *found.per_1000(reward.members))
    names = np.array(elements.slots, object)[elements.slot]
    columns = {
        "product_id": pa.array(elements.product_id, pa.string()),
        "slot": pa.array(names, pa.string()),
        "element_id": pa.array(elements.element_id, pa.string()),
        **{
            name: pa.array(column, pa.float64(), from_pandas=True)
            for name, column in zip(EARNED, numbers, strict=True)
        },
        "text": pc.utf8_slice_codeunits(pa.array(elements.text, pa.string()), 0, MOST_TEXT),
    }
    order = np.lexsort((-found.contribution, elements.slot, elements.product_id.astype(str)))
    return pa.table(columns).take(pa.array(order))
