"""What rows read beside the elements' table: weights of contexts, products and the level, in their layout."""

import torch
from torch import Tensor

from model.reward.fused.layout import Held
from model.reward.network import RewardNetwork


class Told:
    """weights (told, columns) of contexts and history, product (P, outs), bias (outs,); grad, of the
    weights, goes to the network's gradients `to`."""

    def __init__(self, network: RewardNetwork, held: Held, to: dict[str, Tensor]) -> None:
        self.network, self.held, self.to = network, held, to
        sizes, device = held.sizes, held.clicks.device
        self.weights = torch.zeros(sizes.told, sizes.columns, device=device)
        self.grad = torch.zeros_like(self.weights)
        self.bias = torch.zeros(sizes.outs, device=device)
        self.product = torch.zeros(sizes.products, sizes.outs, device=device)
        self.width = network.context.shape[0]  # of contexts; behind them the history's

    def tell(self) -> None:
        """Weights as they now are."""
        network, sizes = self.network, self.held.sizes
        width, known = self.width, sizes.context
        with torch.no_grad():
            self.weights[:width, : sizes.odds] = network.context.flatten(1)
            self.weights[:width, sizes.pair_end : sizes.width] = network.mixing.flatten(1)
            if known > width:
                history = network.history[: known - width].flatten(1)
                self.weights[width:known, : sizes.odds] = history
            self.bias[: sizes.odds] = network.bias.flatten()
            own = network.product.flatten(1)[self.held.code] * self.held.known[:, None]
            self.product[:, : sizes.odds] = own

    def spread(self) -> None:
        """Gradients of contexts' weights, from `grad`."""
        sizes, width, known = self.held.sizes, self.width, self.held.sizes.context
        self.to["context"].flatten(1).copy_(self.grad[:width, : sizes.odds])
        factors = self.grad[:width, sizes.pair_end : sizes.width]
        self.to["mixing"].flatten(1).copy_(factors)
        if known > width:
            history = self.to["history"][: known - width].flatten(1)
            history.copy_(self.grad[width:known, : sizes.odds])
