"""Head of the covariant network for the direction of a new atom."""

import torch
from torch import Tensor, nn

from molrl.agents.networks.encoder import DegreeLinear, Gaunt, degree_index, mlp

_CENTER, _N_POWERS = 1.2, 4  # Å, about a bond; and the powers of the distance from it, inputs


class DirectionHead(nn.Module):
    """Head that maps features of the focal atom to the log-density of the direction.

    Args:
        n_context: number of scalars of focus and element.
        width: hidden size.
        channels: number of spherical features per degree.
        degree: highest degree l.
    """

    def __init__(self, n_context: int, width: int, channels: int, degree: int) -> None:
        super().__init__()
        self.degree, self.channels = degree, channels
        self.mix = mlp(n_context + _N_POWERS, width, 2 * channels * (degree + 1))
        self.gaunt = Gaunt(channels, degree)
        self.out = DegreeLinear(2 * channels, 1, degree)
        self.degree_of: Tensor
        self.register_buffer("degree_of", degree_index(degree), persistent=False)

    def forward(self, context: Tensor, distance: Tensor, features: Tensor) -> Tensor:
        """Return coefficients ``(n, (degree + 1)^2)`` before :func:`cap_sharpness`.

        Args:
            context: ``(n, n_context)``.
            distance: ``(n,)`` Å.
            features: ``(n, (degree + 1)^2, channels)``.
        """
        powers = torch.stack([(distance - _CENTER) ** p for p in range(1, 1 + _N_POWERS)], dim=-1)
        weights = self.mix(torch.cat([context, powers], -1))
        weights = weights.view(len(context), 2, self.degree + 1, self.channels)
        weights = weights.index_select(2, self.degree_of)
        product = self.gaunt(*self.gaunt.factors(features * weights[:, 0]))
        out: Tensor = self.out(torch.cat([features * weights[:, 1], product], -1))
        return out[..., 0]
