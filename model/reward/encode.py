"""Bags as the network reads them."""

import numpy as np
import torch

from model.bags import Bags
from model.reward.encoding import Encoding
from model.reward.network import Batch


def encode(encoding: Encoding, bags: Bags, element: np.ndarray) -> Batch:
    """Bags as tensors, of whose history the ids know nothing; element (n, S) are places among the
    encoded elements, -1 absent."""
    return Batch(
        element=torch.from_numpy(element.astype(np.int64)),
        product=torch.from_numpy(encoding.product_codes(bags.product_id)),
        context=torch.from_numpy(encoding.context_rows(bags.context, len(bags))),
        history=torch.from_numpy(encoding.even(bags.history)),
    )
