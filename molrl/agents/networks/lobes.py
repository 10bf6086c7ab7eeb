"""Density of directions: sharp lobes about the bonds of the focal atom, beside a smooth density.

The angle to a bond and the dihedral to a further one are internal coordinates, as in Simm, Pinsler
and Hernández-Lobato, ICML 2020; here every bond of the focal atom serves as the reference.
"""

import copy
import math
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from molrl.agents.networks.sphere import SphericalDensity, harmonics, inverse_cdf

_TINY = 1e-6


@dataclass(frozen=True)
class Lobes:
    """Up to K lobes of each of n densities, von Mises-Fisher distributions on the sphere.

    A lobe lies about a direction, or is spread evenly over a cone, all directions at one angle to
    an axis. Both are normed in closed form: the second is the mean of the first over the azimuth.

    Attributes:
        logits: ``(n, K)``; ``-inf`` where there is no lobe.
        centers: ``(n, K, 3)``, unit vectors; of a cone, its axis.
        angles: ``(n, K)`` rad, of a cone; 0 for a lobe about a direction.
        concentrations: ``(n, K)``, κ; a lobe is ``κ^(-1/2)`` rad wide.
    """

    logits: Tensor
    centers: Tensor
    angles: Tensor
    concentrations: Tensor

    def log_prob(self, directions: Tensor) -> Tensor:
        """Return log-densities ``(n, K)`` of each lobe, the uniform density being 1.

        Args:
            directions: ``(n, 3)``, unit vectors.
        """
        kappa = self.concentrations
        to = directions[:, None].expand_as(self.centers)
        # from both products, since the cosine alone is too coarse at small angles in float32
        square = torch.linalg.cross(to, self.centers).square().sum(-1)
        sine = square.clamp(min=_TINY**2).sqrt()
        theta = torch.atan2(sine, (to * self.centers).sum(-1))
        of_cone = torch.atan2(self.angles.sin().abs(), self.angles.cos())
        inside = -2 * (0.5 * (theta - of_cone)).sin().square()
        norm = (2 * kappa).log() - torch.log1p(-(-2 * kappa).exp())
        mean: Tensor = torch.special.i0e(kappa * sine * of_cone.sin())  # over the azimuth
        return norm + kappa * inside + mean.log()

    def entropy(self) -> Tensor:
        """Return ``(n, K)`` nats, for sharp lobes; the uniform density has 0, the largest."""
        kappa = self.concentrations
        about = 1 - (2 * kappa).log()
        ring = (
            0.5 * (torch.pi * math.e / 2 / kappa).log()
            + self.angles.sin().abs().clamp(min=_TINY).log()
        )
        return torch.where(self.angles == 0, about, torch.maximum(ring, about)).clamp(max=0)

    def tempered(self, temperature: float) -> "Lobes":
        """Return the lobes ``p^(1 / T)``, normed.

        Args:
            temperature: T, above 0.
        """
        return replace(self, concentrations=self.concentrations / temperature)

    def sample(self, index: Tensor, noise: Tensor) -> Tensor:
        """Draw one direction ``(n, 3)`` from one lobe of each density.

        Args:
            index: ``(n,)`` int64, the lobes.
            noise: ``(n, 3)`` uniform in [0, 1).
        """
        row = torch.arange(len(index), device=index.device)
        one = Lobes(*(getattr(self, field.name)[row, index] for field in fields(self)))
        azimuth = 2 * torch.pi * noise[:, 0]
        center = _tilted(one.centers, one.angles.cos(), azimuth)
        low = (-2 * one.concentrations).exp()
        cosine = 1 + (noise[:, 1] + (1 - noise[:, 1]) * low).log() / one.concentrations
        return _tilted(center, cosine.clamp(-1, 1), 2 * torch.pi * noise[:, 2])


class DirectionDensity:
    r"""Mixture densities :math:`p(n) = w_0 p_0(n) + \sum_k w_k p_k(n)` of lobes.

    The logit of a lobe gets the value of the smooth log-density at its centre added, so that one
    network chooses which of the candidates are free, mirror images of each other among them.

    Args:
        smooth: the smooth densities p0.
        smooth_logits: ``(n,)``, logits of the smooth densities.
        lobes: the lobes.
    """

    def __init__(self, smooth: SphericalDensity, smooth_logits: Tensor, lobes: Lobes) -> None:
        self.smooth, self.lobes = smooth, lobes
        table = harmonics(lobes.centers.detach(), smooth.degree)
        height = torch.einsum("nkm,nm->nk", table, smooth.coefficients)
        logits = lobes.logits + torch.where(lobes.angles == 0, height, 0.0)
        self.log_weights = torch.log_softmax(torch.cat([smooth_logits[:, None], logits], 1), 1)

    def log_prob(self, directions: Tensor) -> Tensor:
        """Return log-densities ``(n,)`` with respect to the uniform measure of total mass 1.

        Args:
            directions: ``(n, 3)``, unit vectors.
        """
        return self._log_prob(directions, self.lobes.log_prob(directions))

    def log_probs(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-densities ``(n,)`` of the mixture, and ``(n,)`` of its lobes alone.

        The latter are 0 where there is no lobe.

        Args:
            directions: ``(n, 3)``, unit vectors.
        """
        of_lobes = self.lobes.log_prob(directions)
        has_lobes = self.lobes.logits.isfinite().any(1)
        weights = torch.where(has_lobes[:, None], self.log_weights[:, 1:], 0.0)
        alone = torch.logsumexp(weights + of_lobes, 1) - torch.logsumexp(weights, 1)
        return self._log_prob(directions, of_lobes), torch.where(has_lobes, alone, 0.0)

    def _log_prob(self, directions: Tensor, of_lobes: Tensor) -> Tensor:
        terms = [self.smooth.log_prob(directions)[:, None], of_lobes]
        return torch.logsumexp(self.log_weights + torch.cat(terms, 1), 1)

    def entropy(self) -> Tensor:
        """Return ``(n,)`` nats, that of the terms plus that of the choice, which is at most 0.

        Where lobes overlap, the true entropy is lower.
        """
        weights = self.log_weights.exp()
        each = self._entropies() - self.log_weights.clamp(min=-50)
        return (weights * each).sum(1).clamp(max=0)

    def _entropies(self) -> Tensor:
        return torch.cat([self.smooth.entropy()[:, None], self.lobes.entropy()], 1)

    def tempered(self, temperature: float) -> "DirectionDensity":
        """Return the densities ``p^(1 / T)``, normed, of terms that hardly overlap.

        The logarithm of the mass of ``p_k^(1 / T)`` is taken as (1 - 1 / T) times the entropy of
        the term, its first order in 1 - 1 / T; for lobes this is exact up to a constant.

        Args:
            temperature: T, above 0; 1 changes nothing.
        """
        other = copy.copy(self)
        other.smooth = SphericalDensity(self.smooth.coefficients / temperature)
        other.lobes = self.lobes.tempered(temperature)
        weights = self.log_weights / temperature + (1 - 1 / temperature) * self._entropies()
        other.log_weights = torch.log_softmax(weights, 1)
        return other

    @torch.no_grad()
    def sample(self, noise: Tensor) -> Tensor:
        """Draw one direction ``(n, 3)``, a unit vector, from each density.

        Args:
            noise: ``(n, 5)`` uniform in [0, 1): one for the term, four for the direction.
        """
        term = inverse_cdf(self.log_weights.exp(), noise[:, 0])
        of_lobe = self.lobes.sample((term - 1).clamp(min=0), noise[:, 1:4])
        return torch.where((term == 0)[:, None], self.smooth.sample(noise[:, 1:]), of_lobe)

    def mode(self) -> Tensor:
        """Return the peak ``(n, 3)`` of the term with the highest one."""
        smooth = self.smooth.mode()
        peaks = torch.cat([self.smooth.log_prob(smooth)[:, None], -self.lobes.entropy()], 1)
        term = (self.log_weights + peaks).argmax(1)
        index, noise = (term - 1).clamp(min=0), smooth.new_zeros(len(term), 3)
        noise[:, 1] = 1
        return torch.where((term == 0)[:, None], smooth, self.lobes.sample(index, noise))


def _tilted(axes: Tensor, cosine: Tensor, azimuth: Tensor) -> Tensor:
    """Return unit vectors ``(n, 3)`` at angles to axes, at azimuths about them.

    Args:
        axes: ``(n, 3)``, unit vectors.
        cosine: ``(n,)``, of the angles.
        azimuth: ``(n,)`` rad, from an arbitrary direction.
    """
    least = torch.nn.functional.one_hot(axes.abs().argmin(-1), 3).to(axes)
    first = torch.nn.functional.normalize(torch.linalg.cross(axes, least), dim=-1)
    second = torch.linalg.cross(axes, first)
    sine = (1 - cosine.square()).clamp(min=0).sqrt()
    side = azimuth.cos()[:, None] * first + azimuth.sin()[:, None] * second
    return torch.nn.functional.normalize(cosine[:, None] * axes + sine[:, None] * side, dim=-1)
