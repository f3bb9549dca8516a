"""A generator with random weights: laws of probability hold whatever was learned."""

import numpy as np
import torch
from tabular_reward import CONTEXT, Shop, context_of

from model.generator.encoding import Encoding
from model.generator.hints import Caution
from model.generator.network import Sizes
from model.generator.policy import Generator, new_network

WIDTH = 8


def untrained(shop: Shop, seed: int, loud: float = 3.0) -> Generator:
    """`loud` scales the weights that decide, so that the probabilities are far from even."""
    elements = shop.elements
    encoding = Encoding.fit(
        elements,
        np.arange(len(elements)),
        sorted(set(elements.product_id.tolist())),
        context_of(200, np.random.default_rng(seed)),
        CONTEXT,
        bins=4,
        buckets=64,
        text_tokens=12,
    )
    sizes = Sizes.of(encoding, WIDTH, heads=2, layers=1)
    network = new_network(sizes, seed)
    with torch.no_grad():
        network.query.weight.mul_(loud)
        network.choice.weight.mul_(loud)
        network.hint.fill_(0.2)
        network.absent.normal_(generator=torch.Generator().manual_seed(seed))
    return Generator(network, encoding, Caution(pessimism=1.0, limit=0.5))
