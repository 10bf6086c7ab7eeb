"""Sums of the messages of an encoder, with a gradient that keeps no array over the edges."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Messages(torch.autograd.Function):
    r"""Features plus the messages that each atom receives, summed.

    A message from atom j to atom i is :math:`a_{ij} Y_{lm}(\hat r_{ij}) + b_{ij} v_j`, where a and
    b are weights per degree and channel and v are the features of the sender. It is made degree by
    degree, so that no weight is repeated for each order m, and is computed again for the gradient:
    the time is that of the memory. The gradients are those of the features and the weights; the
    harmonics are constants.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - PyTorch's own
        features: Tensor,
        weights: Tensor,
        angular: Tensor,
        edges: Tensor,
    ) -> Tensor:
        """Return the new features, of the shape of ``features``.

        Args:
            ctx: context of the gradient.
            features: v, ``(n_atoms_total, (degree + 1)^2, channels)``.
            weights: a, ``(n_edges, (degree + 1) * channels)``, followed by b in further columns,
                or without them where b = 0.
            angular: Y, ``(n_edges, (degree + 1)^2)``, without a gradient.
            edges: ``(2, n_edges)``, senders and receivers.
        """
        ctx.save_for_backward(features, weights, angular, edges)
        sender, receiver = edges
        made = []
        for orders, of_angle, of_sender in _degrees(features, weights):
            values, harmonics = features[:, orders], angular[:, orders, None]
            if of_sender is None:
                moved = harmonics * weights[:, None, of_angle]
            else:
                moved = values.index_select(0, sender)
                moved *= weights[:, None, of_sender]
                moved.addcmul_(harmonics, weights[:, None, of_angle])
            made.append(values.index_add(0, receiver, moved))
        return torch.cat(made, 1)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 - PyTorch's own
        gradient: Tensor,
    ) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of features and weights.

        Args:
            ctx: context of the gradient.
            gradient: of the new features.
        """
        features, weights, angular, edges = ctx.saved_tensors
        sender, receiver = edges
        of_weights, of_features = torch.empty_like(weights), []
        for orders, of_angle, of_sender in _degrees(features, weights):
            incoming = gradient[:, orders]
            received = incoming.index_select(0, receiver)
            product = received * angular[:, orders, None]
            torch.sum(product, 1, out=of_weights[:, of_angle])
            if of_sender is None:
                of_features.append(incoming)
            else:
                sent = features[:, orders].index_select(0, sender)
                torch.mul(received, sent, out=product)
                torch.sum(product, 1, out=of_weights[:, of_sender])
                received *= weights[:, None, of_sender]
                of_features.append(incoming.index_add(0, sender, received))
        return torch.cat(of_features, 1), of_weights, None, None


def _degrees(features: Tensor, weights: Tensor) -> list[tuple[slice, slice, slice | None]]:
    """Return slices of each degree: its orders, its columns of a, and those of b if there are."""
    channels = features.shape[2]
    degree = round(features.shape[1] ** 0.5) - 1
    both = weights.shape[1] > (degree + 1) * channels
    slices = []
    for each in range(degree + 1):
        start, shift = each * channels, (degree + 1) * channels
        columns = slice(start, start + channels)
        further = slice(start + shift, start + shift + channels) if both else None
        slices.append((slice(each**2, (each + 1) ** 2), columns, further))
    return slices
