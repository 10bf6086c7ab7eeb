"""Density on the sphere from the coefficients of spherical harmonics, sampled exactly."""

from functools import lru_cache

import torch
from scipy.integrate import lebedev_rule
from torch import Tensor

from molrl.safe_e3nn import o3

LEBEDEV_ORDER = 71  # 1,730 points: log Z to 1e-4 at sharpness 20 and degree 4, to 1e-3 at 5


@lru_cache
def lebedev(order: int) -> tuple[Tensor, Tensor]:
    """Return points ``(n, 3)`` and weights ``(n,)``, which sum to 1, of a Lebedev rule, float64."""
    points, weights = lebedev_rule(order)
    return torch.from_numpy(points.T.copy()), torch.from_numpy(weights / weights.sum())


def harmonics(vectors: Tensor, degree: int) -> Tensor:
    r"""Compute real spherical harmonics of the degrees 0 to ``degree``.

    They are normalised so that :math:`\sum_m Y_{lm}(n)^2 = 1` for every l and every direction.

    Args:
        vectors: ``(..., 3)``, of any length except 0.
        degree: highest l, at least 1.

    Returns:
        ``(..., (degree + 1)^2)``.
    """
    # directions come last, so that each step is one product with all of them and one of matrices
    n = torch.nn.functional.normalize(vectors.reshape(-1, 3), dim=-1).T.contiguous()
    parts = [torch.ones_like(n[:1]), n]
    for step in _steps(degree, n.device, n.dtype):
        parts.append(step @ (parts[-1][:, None] * n).flatten(0, 1))
    return torch.cat(parts).T.reshape(*vectors.shape[:-1], (degree + 1) ** 2)


@lru_cache
def _steps(degree: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Return maps ``(2 l + 1, 3 (2 l - 1))`` to l from the products of l - 1 and 1, from l = 2."""
    some = torch.tensor([[0.6, 0.48, 0.64]], dtype=torch.float64)  # of length 1, on no node
    values = some
    steps = []
    for l in range(2, degree + 1):  # noqa: E741 - l is the degree
        step = o3.wigner_3j(l - 1, 1, l, dtype=torch.float64).flatten(0, 1).T
        unnormed = (values[:, :, None] * some[:, None]).flatten(1) @ step.T
        values = o3.spherical_harmonics(l, some, normalize=True, normalization="norm")
        steps.append(step * ((values * unnormed).sum() / unnormed.square().sum()))
    return tuple(step.to(device, dtype) for step in steps)


def _degrees(coefficients: Tensor) -> tuple[Tensor, ...]:
    """Split coefficients ``(n, (degree + 1)^2)`` into ``(n, 2 l + 1)`` for each degree l."""
    degree = round(coefficients.shape[-1] ** 0.5) - 1
    return torch.split(coefficients, [2 * l + 1 for l in range(degree + 1)], dim=-1)  # noqa: E741 - l is the degree


def cap_sharpness(coefficients: Tensor, sharpness: float) -> Tensor:
    r"""Scale coefficients so that the log-density stays within ``[-sharpness, sharpness]``.

    With :math:`\sum_m Y_{lm}^2 = 1`, :math:`|f(n)| \le \sum_l |a_l| =: s`. The coefficients are
    multiplied by :math:`S \tanh(s / S) / s`, which is rotation invariant, smooth, and close to 1
    where s is much smaller than S.

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

    Z is a Lebedev sum. To draw a sample, the Lebedev points are rotated by a uniformly random
    rotation, and one of them is drawn with a probability proportional to its weight times e^f. The
    sum over rotated points is Z for every rotation, and a rotated point is uniform on the sphere,
    so the sample has the density p, up to the error of the quadrature. No sample is rejected.

    Args:
        coefficients: ``(n, (degree + 1)^2)``, from :func:`cap_sharpness`; the first one, of the
            constant, has no effect.
    """

    def __init__(self, coefficients: Tensor) -> None:
        self.coefficients = coefficients
        self.degree = round(coefficients.shape[-1] ** 0.5) - 1
        table, log_weights = _grid(self.degree, coefficients.device, coefficients.dtype)
        self._table, self._log_weights = table, log_weights
        self._log_terms = coefficients @ table.T + log_weights
        self.log_z = torch.logsumexp(self._log_terms, dim=-1)

    def log_prob(self, directions: Tensor) -> Tensor:
        """Return log-densities ``(n,)`` with respect to the uniform measure of total mass 1.

        Args:
            directions: ``(n, 3)``, unit vectors.
        """
        f = (self.coefficients * harmonics(directions, self.degree)).sum(-1)
        return f - self.log_z

    def entropy(self) -> Tensor:
        """Return differential entropies ``(n,)`` with respect to the uniform measure, at most 0."""
        means = torch.softmax(self._log_terms, dim=-1) @ self._table
        return self.log_z - (means * self.coefficients).sum(-1)

    @torch.no_grad()
    def sample(self, noise: Tensor) -> Tensor:
        """Draw one direction ``(n, 3)``, a unit vector, from each density.

        Args:
            noise: ``(n, 4)`` uniform in [0, 1): three for the rotation, one for the point.
        """
        alpha, gamma = 2 * torch.pi * noise[:, 0], 2 * torch.pi * noise[:, 2]
        beta = torch.arccos((1 - 2 * noise[:, 1]).clamp(-1, 1))
        # rotating the coefficients is cheaper than evaluating harmonics at rotated points
        rotated = rotate(self.coefficients, -gamma, -beta, -alpha)
        terms = torch.softmax(rotated @ self._table.T + self._log_weights, dim=-1)
        points = _points(terms.device, terms.dtype)[inverse_cdf(terms, noise[:, 3])]
        rotation = o3.angles_to_matrix(alpha, beta, gamma)
        return torch.einsum("nij,nj->ni", rotation, points)

    def mode(self) -> Tensor:
        """Return the Lebedev point ``(n, 3)`` of highest density."""
        best = (self._log_terms - self._log_weights).argmax(-1)
        return _points(self.coefficients.device, self.coefficients.dtype)[best]


def inverse_cdf(probabilities: Tensor, noise: Tensor) -> Tensor:
    """Draw an index from each row of probabilities; never one of probability 0.

    Args:
        probabilities: ``(n, m)``, not negative; the rows need not sum to 1.
        noise: ``(n,)`` uniform in [0, 1].

    Returns:
        ``(n,)`` int64.
    """
    cdf = probabilities.double().cumsum(-1)
    # noise near 1 may be rounded up to the sum of the row: then the last index of mass is drawn
    index = torch.searchsorted(cdf, (noise.double() * cdf[:, -1])[:, None], right=True)[:, 0]
    last = probabilities.shape[-1] - 1 - (probabilities.flip(-1) > 0).int().argmax(-1)
    return torch.minimum(index, last)


def rotate(coefficients: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
    """Rotate functions about the axes y, x and y, by gamma first.

    Args:
        coefficients: ``(n, (degree + 1)^2)``.
        alpha: ``(n,)`` rad.
        beta: ``(n,)`` rad.
        gamma: ``(n,)`` rad.
    """
    degree = round(coefficients.shape[-1] ** 0.5) - 1
    to_x, frequencies, mirror = _axes(degree, coefficients.device, coefficients.dtype)
    for angle, axis in ((gamma, None), (beta, to_x), (alpha, None)):
        values = coefficients if axis is None else coefficients @ axis
        phase = angle[:, None] * frequencies
        values = phase.cos() * values + phase.sin() * values.index_select(1, mirror)
        coefficients = values if axis is None else values @ axis.T
    return coefficients


@lru_cache
def _axes(degree: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rotation of the axis y to x, and what a rotation about y mixes.

    A coefficient ``(l, m)`` turns by m times the angle into the one of ``(l, -m)``.
    """
    angle = torch.tensor(-torch.pi / 2, dtype=torch.float64)
    turn = o3.Irreps.spherical_harmonics(degree).D_from_matrix(o3.matrix_z(angle))
    orders = [torch.arange(each, -each - 1, -1) for each in range(degree + 1)]
    frequencies = torch.cat(orders)
    mirror = torch.cat([each * (each + 1) + m for each, m in enumerate(orders)])
    return turn.to(device, dtype), frequencies.to(device, dtype), mirror.to(device)


@lru_cache
def _points(device: torch.device, dtype: torch.dtype) -> Tensor:
    return lebedev(LEBEDEV_ORDER)[0].to(device, dtype)


@lru_cache
def _grid(degree: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    points, weights = lebedev(LEBEDEV_ORDER)
    table = harmonics(points, degree)
    return table.to(device, dtype), weights.log().to(device, dtype)
