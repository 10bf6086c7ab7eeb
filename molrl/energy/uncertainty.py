"""How unusual each atom's surroundings are to an energy model: a Gaussian mixture over features.

Zhu, Batzner, Musaelian and Kozinsky, J. Chem. Phys. 158, 164111 (2023): the negative log-likelihood
of an atom's final-layer features, under a mixture fitted to those of the training set, tells where
the model is out of its depth; it costs one small product beside the network.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.config import Config, parse_config
from molrl.runs.weights import load_weights, save_weights

KIND = "mace-uncertainty"  # of all networks; the name is that of the first
_TENSORS = ("log_weights", "means", "factors")
EXACT = -1.0  # uncertainty of an isolated atom and of an empty canvas, as of a typical molecule


@dataclass(frozen=True)
class BiasedOutput:
    """What a dynamics biased towards uncertainty needs. All tensors are detached.

    F_HAL = F + tau dU/dx, with the uncertainty U of the molecule in place of a committee's
    deviation (van der Oord et al., npj Comput. Mater. 9, 168, 2023).

    Attributes:
        energy: ``(n_molecules,)`` float64, eV, total energy.
        forces: ``(n_atoms_total, 3)`` float64, eV/Å, of the energy alone.
        bias_forces: ``(n_atoms_total, 3)`` float64, 1/Å, dU/dx: uphill in uncertainty.
        uncertainty: ``(n_molecules,)`` float64, as in ``evaluate``.
        atom_uncertainty: ``(n_atoms_total,)`` float64, as in ``evaluate``.
    """

    energy: Tensor
    forces: Tensor
    bias_forces: Tensor
    uncertainty: Tensor
    atom_uncertainty: Tensor


class Scale(Config):
    """From negative log-likelihoods to uncertainties.

    Attributes:
        center: median of the atoms' negative log-likelihoods, in what was fitted to.
        width: their 90 % quantile less their median.
        typical: median of the structures' compressed likelihoods.
        unusual: their 99 % quantile.
    """

    center: float = 0.0
    width: float = 1.0
    typical: float = 0.0
    unusual: float = 1.0

    def __call__(self, nll: Tensor) -> Tensor:
        """Uncertainties of atoms, of their negative log-likelihoods."""
        return (self.compressed(nll) - self.unusual) / (self.unusual - self.typical)

    def compressed(self, nll: Tensor) -> Tensor:
        """An inverse hyperbolic sine: the likelihood near the usual ones, its logarithm far off."""
        return torch.asinh((nll - self.center) / self.width)


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of K Gaussians of full covariance for each of E elements, over F features.

    Attributes:
        elements: E atomic numbers.
        log_weights: ``(E, K)`` float64, log of the weight of each Gaussian; -inf for none.
        means: ``(E, K, F)`` float64.
        factors: ``(E, K, F, F)`` float64, lower triangular L with L Lᵀ the inverse covariance.
        scale: what makes likelihoods comparable, see :class:`Scale`.
    """

    elements: tuple[int, ...]
    log_weights: Tensor
    means: Tensor
    factors: Tensor
    scale: Scale = field(default_factory=Scale)

    def to(self, device: torch.device | str) -> Self:
        """A copy on another device."""
        return replace(
            self,
            log_weights=self.log_weights.to(device),
            means=self.means.to(device),
            factors=self.factors.to(device),
        )

    def nll(self, features: Tensor, numbers: Tensor) -> Tensor:
        """``-log sum_k pi_k N(x | mu_k, Sigma_k)`` of each atom, under its element's mixture.

        Args:
            features: ``(n_atoms_total, F)``; differentiable.
            numbers: ``(n_atoms_total,)`` int64, atomic numbers.

        Returns:
            ``(n_atoms_total,)`` float64; infinite for other elements.
        """
        features = features.double()
        out = features.new_full((len(features),), math.inf)
        for i, number in enumerate(self.elements):
            mine = torch.nonzero(numbers == number).flatten()
            if len(mine):
                log_p = self.log_likelihoods(features[mine], i)
                out = out.index_put((mine,), -log_p.logsumexp(-1))
        return out

    def log_likelihoods(self, x: Tensor, element: int) -> Tensor:
        """``(n, K)``: ``log pi_k + log N(x | mu_k, Sigma_k)`` for ``x (n, F)`` of one element."""
        factors, means = self.factors[element], self.means[element]
        shift = torch.einsum("kf,kfg->kg", means, factors)
        whitened = torch.einsum("nf,kfg->nkg", x, factors) - shift
        constant = (
            self.log_weights[element]
            + factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            - 0.5 * x.shape[-1] * math.log(2 * math.pi)
        )
        return constant - 0.5 * whitened.square().sum(-1)

    def atom_uncertainty(self, features: Tensor, numbers: Tensor) -> Tensor:
        """How unusual each atom is, on a scale that means the same for every model.

        An atom's u is its negative log-likelihood, compressed by an inverse hyperbolic sine: far
        from all that was fitted it grows as the logarithm, so that a clash costs a few units and
        not thousands. A molecule's u is the mean over its atoms. 0 is as unusual as the 99 %
        quantile of the structures the mixture was fitted to, -1 as their median. An atom without
        neighbours has features that are exactly 0, and an energy that is exact: :data:`EXACT`.

        Args:
            features: as for :meth:`nll`.
            numbers: as for :meth:`nll`.

        Returns:
            ``(n_atoms_total,)`` float64.
        """
        u = self.scale(self.nll(features, numbers))
        return u.masked_fill((features == 0).all(-1), EXACT)

    def save(self, weights: Path | str, weights_hash: str) -> None:
        """Write the mixture beside the weights it belongs to.

        Args:
            weights: the JSON file of the weights.
            weights_hash: their ``header_sha256``.
        """
        header = {
            "kind": KIND,
            "weights": weights_hash,
            "elements": self.elements,
            "scale": self.scale.model_dump(),
        }
        tensors = {name: getattr(self, name).float() for name in _TENSORS}
        save_weights(beside(weights), tensors, header)

    @classmethod
    def load(
        cls, weights: Path | str, weights_hash: str, device: torch.device | str = "cpu"
    ) -> Self | None:
        """The mixture that stands beside some weights, or None if there is none.

        Args:
            weights: the JSON file of the weights.
            weights_hash: their ``header_sha256``.
            device: where to compute.

        Raises:
            InputError: if the mixture is damaged, or was fitted to other weights.
        """
        path = beside(weights)
        if not path.exists():
            return None
        tensors, header = load_weights(path, kind=KIND)
        if header.get("weights") != weights_hash:
            raise InputError(
                f"{path} belongs to other weights than {weights}; fit it again, or remove it"
            )
        scale = parse_config(header.get("scale", {}), Scale, where=str(path))
        log_weights, means, factors = (tensors[name].to(device).double() for name in _TENSORS)
        return cls(tuple(header["elements"]), log_weights, means, factors, scale)


def beside(weights: Path | str) -> Path:
    """The JSON file of the mixture that belongs to weights: ``mace.uncertainty.json``."""
    return Path(weights).with_suffix(".uncertainty.json")


def average(atoms: Tensor, molecules: MoleculeBatch) -> Tensor:
    """``(n_molecules,)``: the mean of each molecule's ``atoms (n_atoms_total,)``.

    An empty canvas has :data:`EXACT`.
    """
    mean = molecules.sum_atoms(atoms) / molecules.n_atoms.clamp(min=1)
    return mean.masked_fill(molecules.n_atoms == 0, EXACT)
