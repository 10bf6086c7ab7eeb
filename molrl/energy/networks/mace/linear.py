"""Linear maps normalised as in e3nn, and by element on atoms sorted by element."""

import torch
from torch import Tensor, nn

# Normalises silu(x) to a second moment of 1 for normal x, with e3nn's digits.
SILU = 1.6791767923989418


def mlp(x: Tensor, weights: list[Tensor]) -> Tensor:
    """Apply a multilayer perceptron without biases, normalised as in e3nn."""
    for weight in weights[:-1]:
        x = silu(x @ scaled(weight))
    return x @ scaled(weights[-1])


def silu(x: Tensor) -> Tensor:
    """Apply silu, normalised to a second moment of 1 for normal x."""
    return nn.functional.silu(x) * SILU


def scaled(weight: Tensor) -> Tensor:
    """Divide a weight matrix by the square root of its fan-in."""
    scale: float = weight.shape[-2] ** 0.5
    return weight / scale


def by_element(values: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Return row ``e`` of the values for each atom of element ``e``; atoms sorted by element."""
    return torch.cat([row.expand(n, *row.shape) for row, n in zip(values, counts, strict=True)])


def matmul_by_element(x: Tensor, weights: Tensor, counts: tuple[int, ...]) -> Tensor:
    """Multiply ``x`` of each atom by the matrix of its element; atoms sorted by element."""
    parts = torch.split(x, list(counts))
    return torch.cat([part @ weight for part, weight in zip(parts, weights, strict=True)])
