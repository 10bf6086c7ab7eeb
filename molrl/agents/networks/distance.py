"""Density of distances: a mixture of normals, each truncated to a window and renormalised."""

import math

import torch
from torch import Tensor

from molrl.agents.networks.sphere import inverse_cdf

_QUADRATURE = 128  # midpoints over the window, for the entropy


class DistanceDensity:
    r"""Mixture densities :math:`p(d) = \sum_k w_k N(d; \mu_k, \sigma_k) / M_k` on ``[low, high]``.

    :math:`M_k` is the mass of the k-th normal in the window, so that every term integrates to 1
    over the window and all samples are in it.

    Args:
        log_weights: ``(n, k)``, normalised log w.
        means: ``(n, k)`` Å, inside the window.
        widths: ``(n, k)`` Å, positive standard deviations.
        window: ``(low, high)`` Å.
    """

    def __init__(
        self, log_weights: Tensor, means: Tensor, widths: Tensor, window: tuple[float, float]
    ) -> None:
        self.log_weights, self.means, self.widths = log_weights, means, widths
        self.low, self.high = window
        self._below = _phi((self.low - means) / widths)
        self._log_mass = (_phi((self.high - means) / widths) - self._below).log()
        self._scale = math.sqrt(0.5) / widths
        self._log_peaks = log_weights - self._log_mass - (widths * math.sqrt(2 * math.pi)).log()

    def log_prob(self, distances: Tensor) -> Tensor:
        """Return log-densities ``(n,)``, the densities in 1/Å.

        Args:
            distances: ``(n,)`` Å, in the window.
        """
        return self._log_prob(distances[:, None])[:, 0]

    def _log_prob(self, distances: Tensor) -> Tensor:
        # the terms are not last, so that the sums over them are vectorised
        z = (distances[:, None] - self.means[:, :, None]) * self._scale[:, :, None]
        return torch.logsumexp(self._log_peaks[:, :, None] - z.square(), dim=1)

    def entropy(self) -> Tensor:
        """Return the differential entropies ``(n,)``, minus that of the uniform density."""
        step = (self.high - self.low) / _QUADRATURE
        at = self.low + step * (torch.arange(_QUADRATURE, device=self.means.device) + 0.5)
        log_p = self._log_prob(at.to(self.means).expand(len(self.means), -1))
        return -(log_p.exp() * log_p).sum(-1) * step - math.log(self.high - self.low)

    @torch.no_grad()
    def sample(self, noise: Tensor) -> Tensor:
        """Draw one distance ``(n,)`` in Å from each density, by inversion.

        Args:
            noise: ``(n, 2)`` uniform in [0, 1): for the term, and for the distance.
        """
        k = inverse_cdf(self.log_weights.exp(), noise[:, 0])[:, None]
        mean, width, below, log_mass = (
            x.gather(1, k)[:, 0].double()
            for x in (self.means, self.widths, self._below, self._log_mass)
        )
        quantile = (below + noise[:, 1].double() * log_mass.exp()).clamp(1e-12, 1 - 1e-12)
        distance = mean + width * math.sqrt(2) * torch.erfinv(2 * quantile - 1)
        return distance.clamp(self.low, self.high).to(self.means.dtype)

    def tempered(self, temperature: float) -> "DistanceDensity":
        """Return the densities ``p^(1 / T)``, normed, of terms that hardly overlap.

        Args:
            temperature: T, above 0; 1 changes nothing.
        """
        # the mass of a term is that of w^(1 / T), times the T-dependent mass of its own power
        weights = self.log_weights / temperature + (1 - 1 / temperature) * self.widths.log()
        return DistanceDensity(
            torch.log_softmax(weights, dim=-1),
            self.means,
            self.widths * math.sqrt(temperature),
            (self.low, self.high),
        )

    def mode(self) -> Tensor:
        """Return the mean ``(n,)`` in Å of the term with the highest peak."""
        return self.means.gather(1, self._log_peaks.argmax(-1, keepdim=True))[:, 0]


def _phi(z: Tensor) -> Tensor:
    """Return the cumulative distribution function of the standard normal."""
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))
