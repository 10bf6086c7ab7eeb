"""A density on the sphere from spherical-harmonic coefficients: exact to sample, cheap to norm."""

from functools import lru_cache

import torch
from scipy.integrate import lebedev_rule
from torch import Tensor

from molrl.safe_e3nn import o3

LEBEDEV_ORDER = 71  # 1,730 points: log Z to 1e-4 at sharpness 20 and degree 4, to 1e-3 at 5


@lru_cache
def lebedev(order: int) -> tuple[Tensor, Tensor]:
    """Points ``(n, 3)`` and weights ``(n,)``, summing to 1, of a Lebedev rule, float64."""
    points, weights = lebedev_rule(order)
    return torch.from_numpy(points.T.copy()), torch.from_numpy(weights / weights.sum())


def harmonics(vectors: Tensor, degree: int) -> Tensor:
    r"""Real spherical harmonics of degrees 0 to ``degree``.

    Normalised so that :math:`\sum_m Y_{lm}(n)^2 = 1` for every l and every direction.

    Args:
        vectors: ``(..., 3)``, of any length but 0.
        degree: highest l.

    Returns:
        ``(..., (degree + 1)^2)``.
    """
    values: Tensor = o3.spherical_harmonics(
        list(range(degree + 1)), vectors, normalize=True, normalization="norm"
    )
    return values


def _degrees(coefficients: Tensor) -> tuple[Tensor, ...]:
    """The coefficients ``(n, 2 l + 1)`` of each degree l, of ``(n, (degree + 1)^2)``."""
    degree = round(coefficients.shape[-1] ** 0.5) - 1
    return torch.split(coefficients, [2 * l + 1 for l in range(degree + 1)], dim=-1)  # noqa: E741 - l is the degree


def cap_sharpness(coefficients: Tensor, sharpness: float) -> Tensor:
    r"""Scale coefficients so that the log-density never leaves ``[-sharpness, sharpness]``.

    With :math:`\sum_m Y_{lm}^2 = 1`, :math:`|f(n)| \le \sum_l |a_l| =: s`. The coefficients are
    multiplied by :math:`S \tanh(s / S) / s`, which is rotation invariant, smooth, and close to 1
    while s is small against S.

    Args:
        coefficients: ``(n, (degree + 1)^2)``.
        sharpness: S.
    """
    parts = _degrees(coefficients.square())
    norms = torch.stack([(part.sum(-1) + 1e-12).sqrt() for part in parts[1:]], dim=-1)
    s = norms.sum(-1, keepdim=True)
    return coefficients * (sharpness * torch.tanh(s / sharpness) / s)


class SphericalDensity:
    r"""Densities :math:`p(n) = e^{f(n)} / Z` with :math:`f(n) = \sum_{lm} a_{lm} Y_{lm}(n)`.

    Z is a Lebedev sum. A sample is drawn by turning the Lebedev points by a uniformly random
    rotation and choosing one of them with probability proportional to its weight times e^f: since
    the turned sum is Z whatever the rotation, and a turned point is uniform on the sphere, the
    point chosen has exactly the density p, up to the error of the quadrature. Nothing is rejected.

    Args:
        coefficients: ``(n, (degree + 1)^2)``, capped by :func:`cap_sharpness`; the first, constant
            one has no effect.
    """

    def __init__(self, coefficients: Tensor) -> None:
        self.coefficients = coefficients
        self.degree = round(coefficients.shape[-1] ** 0.5) - 1
        table, log_weights = _grid(self.degree, coefficients.device, coefficients.dtype)
        self._table, self._log_weights = table, log_weights
        self._log_terms = coefficients @ table.T + log_weights
        self.log_z = torch.logsumexp(self._log_terms, dim=-1)

    def log_prob(self, directions: Tensor) -> Tensor:
        """Log-density ``(n,)`` with respect to the uniform measure of total mass 1.

        Args:
            directions: ``(n, 3)``, unit vectors.
        """
        f = (self.coefficients * harmonics(directions, self.degree)).sum(-1)
        return f - self.log_z

    def entropy(self) -> Tensor:
        """Differential entropy ``(n,)``, with respect to the uniform measure: 0 at most."""
        log_p = self._log_terms - self.log_z[:, None]
        return -(log_p.exp() * (log_p - self._log_weights)).sum(-1)

    @torch.no_grad()
    def sample(self, noise: Tensor) -> Tensor:
        """One direction ``(n, 3)`` of each density.

        Args:
            noise: ``(n, 4)`` uniform in [0, 1): three for the rotation, one for the choice.
        """
        alpha, gamma = 2 * torch.pi * noise[:, 0], 2 * torch.pi * noise[:, 2]
        beta = torch.arccos((1 - 2 * noise[:, 1]).clamp(-1, 1))
        turned = torch.cat(
            [
                torch.einsum("nij,ni->nj", o3.wigner_D(l, alpha, beta, gamma), part)
                for l, part in enumerate(_degrees(self.coefficients))  # noqa: E741 - l is the degree
            ],
            dim=-1,
        )
        terms = torch.softmax(turned @ self._table.T + self._log_weights, dim=-1)
        chosen = inverse_cdf(terms, noise[:, 3])
        points = lebedev(LEBEDEV_ORDER)[0].to(terms)[chosen]
        rotation = o3.angles_to_matrix(alpha, beta, gamma)
        return torch.einsum("nij,nj->ni", rotation, points)

    def mode(self) -> Tensor:
        """The grid point ``(n, 3)`` of highest density."""
        best = (self._log_terms - self._log_weights).argmax(-1)
        return lebedev(LEBEDEV_ORDER)[0].to(self.coefficients)[best]


def inverse_cdf(probabilities: Tensor, noise: Tensor) -> Tensor:
    """Draw an index of each row ``(n, m)`` with uniform ``noise (n,)``: never one of mass 0."""
    cdf = probabilities.double().cumsum(-1)
    index = torch.searchsorted(cdf, (noise.double() * cdf[:, -1])[:, None], right=True)[:, 0]
    last = probabilities.shape[-1] - 1 - (probabilities.flip(-1) > 0).int().argmax(-1)
    return torch.minimum(index, last)


@lru_cache
def _grid(degree: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    points, weights = lebedev(LEBEDEV_ORDER)
    table = harmonics(points, degree)
    return table.to(device, dtype), weights.log().to(device, dtype)
