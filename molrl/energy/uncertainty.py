"""Uncertainty of a network: out-of-distribution scores from a Gaussian mixture over its features.

Zhu, Batzner, Musaelian and Kozinsky, J. Chem. Phys. 158, 164111 (2023): the negative log-likelihood
(NLL) of an atom's final-layer features, under a mixture fitted to those of the training set, is
large where the network extrapolates. It costs one small product in addition to the network.
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

KIND = "mace-uncertainty"  # of files for any network; shipped headers fix the name of the first
_TENSORS = ("log_weights", "means", "factors")
REFERENCE_SCORE = -1.0  # of isolated atoms and empty canvases: that of a typical molecule


@dataclass(frozen=True)
class BiasedOutput:
    """Energies, forces and gradients of the uncertainty. All tensors are detached.

    They drive dynamics biased towards uncertainty: F_HAL = F + tau dU/dx, with the uncertainty U of
    the molecule in place of a committee's deviation (van der Oord et al., npj Comput. Mater. 9,
    168, 2023).

    Attributes:
        energy: ``(n_molecules,)`` float64, eV, total energy.
        forces: ``(n_atoms_total, 3)`` float64, eV/Å, of the energy alone.
        bias_forces: ``(n_atoms_total, 3)`` float64, 1/Å, dU/dx, uphill in uncertainty.
        uncertainty: ``(n_molecules,)`` float64, as in ``evaluate``.
        atom_uncertainty: ``(n_atoms_total,)`` float64, as in ``evaluate``.

    Example:
        >>> biased = model.evaluate_biased(molecules)  # doctest: +SKIP
        >>> force = biased.forces + 0.3 * biased.bias_forces  # doctest: +SKIP
    """

    energy: Tensor
    forces: Tensor
    bias_forces: Tensor
    uncertainty: Tensor
    atom_uncertainty: Tensor


class Scale(Config):
    """The map from negative log-likelihoods (NLL) to out-of-distribution scores.

    Its numbers are statistics of the structures that the mixture was fitted to, and of the errors
    of others.

    Attributes:
        center: median of the atoms' NLL.
        width: 90 % quantile of the atoms' NLL minus their median.
        typical: median of the structures' compressed NLL, which gets the score -1.
        unusual: the compressed NLL that gets the score 0: from there on errors of more than 0.1
            eV/atom are common (:func:`molrl.fitting.calibration.calibrate`).
        peak: share of the largest atom's score in that of a molecule; the rest is the mean.

    Example:
        >>> Scale(center=-20.0, width=5.0)(torch.tensor([-20.0, 1e4])).round(decimals=2)
        tensor([-1.0000,  7.3000])
    """

    center: float = 0.0
    width: float = 1.0
    typical: float = 0.0
    unusual: float = 1.0
    peak: float = 0.0

    def __call__(self, nll: Tensor) -> Tensor:
        """Return the scores ``(n_atoms,)`` of atoms with these NLL ``(n_atoms,)``."""
        return (self.compressed(nll) - self.unusual) / (self.unusual - self.typical)

    def compressed(self, nll: Tensor) -> Tensor:
        """Return the NLL on a scale that is linear near the median and logarithmic far above it.

        Args:
            nll: ``(n_atoms,)`` negative log-likelihoods.
        """
        return torch.asinh((nll - self.center) / self.width)


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of K Gaussians with full covariances for each of E elements, over F features.

    Attributes:
        elements: E atomic numbers.
        log_weights: ``(E, K)`` float64, logarithm of each Gaussian's weight; -inf for unused ones.
        means: ``(E, K, F)`` float64.
        factors: ``(E, K, F, F)`` float64, lower triangular L with L Lᵀ the inverse covariance.
        scale: the map from likelihoods to scores that are comparable between models.

    Example:
        >>> standard = GaussianMixture(
        ...     elements=(1,),
        ...     log_weights=torch.zeros(1, 1).double(),
        ...     means=torch.zeros(1, 1, 2).double(),
        ...     factors=torch.eye(2).double().expand(1, 1, 2, 2),
        ... )
        >>> features, numbers = torch.tensor([[0.0, 1.0], [9.0, 9.0]]), torch.tensor([1, 6])
        >>> standard.nll(features, numbers).round(decimals=3)  # infinite for unknown elements
        tensor([2.3380,    inf], dtype=torch.float64)
    """

    elements: tuple[int, ...]
    log_weights: Tensor
    means: Tensor
    factors: Tensor
    scale: Scale = field(default_factory=Scale)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy on another device."""
        return replace(
            self,
            log_weights=self.log_weights.to(device),
            means=self.means.to(device),
            factors=self.factors.to(device),
        )

    def nll(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Compute the negative log-likelihood of each atom under the mixture of its element.

        It is ``-log sum_k pi_k N(x | mu_k, Sigma_k)`` (Zhu et al.), differentiable by the features.

        Args:
            features: ``(n_atoms_total, F)`` floating.
            numbers: ``(n_atoms_total,)`` int64, atomic numbers.

        Returns:
            ``(n_atoms_total,)`` float64; infinite for elements without a mixture.
        """
        features = features.double()
        out = features.new_full((len(features),), math.inf)
        for i, number in enumerate(self.elements):
            atoms = torch.nonzero(numbers == number).flatten()
            if len(atoms):
                log_p = self.log_likelihoods(features[atoms], i)
                out = out.index_put((atoms,), -log_p.logsumexp(-1))
        return out

    def log_likelihoods(self, x: Tensor, element: int) -> Tensor:
        """Compute ``log pi_k + log N(x | mu_k, Sigma_k)`` of features of one element.

        Args:
            x: ``(n, F)`` float64, features.
            element: index into ``elements``.

        Returns:
            ``(n, K)`` float64.
        """
        factors, means = self.factors[element], self.means[element]
        # With L Lᵀ the inverse covariance, the Mahalanobis distance is |Lᵀ x - Lᵀ mu|. Multiplying
        # x and mu apart needs no (n, K, F) differences, and the determinant is that of the
        # diagonal of L.
        shift = torch.einsum("kf,kfg->kg", means, factors)
        whitened = torch.einsum("nf,kfg->nkg", x, factors) - shift
        constant = (
            self.log_weights[element]
            + factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            - 0.5 * x.shape[-1] * math.log(2 * math.pi)
        )
        return constant - 0.5 * whitened.square().sum(-1)

    def atom_uncertainty(self, features: Tensor, numbers: Tensor) -> Tensor:
        """Compute the out-of-distribution score of each atom, comparable between models.

        The score is the NLL on a scale that is linear near typical values and logarithmic far
        above, so that a clash scores a few units and not thousands: -1 is typical of the structures
        that the mixture was fitted to, and at 0 errors of more than 0.1 eV/atom begin. An atom
        without neighbours has :data:`REFERENCE_SCORE`.

        Args:
            features: ``(n_atoms_total, F)`` floating.
            numbers: ``(n_atoms_total,)`` int64, atomic numbers.

        Returns:
            ``(n_atoms_total,)`` float64.
        """
        score = self.scale(self.nll(features, numbers))
        # Features that are exactly 0 belong to an atom without neighbours, whose energy the model
        # has exactly; the mixture, fitted to bonded atoms, would call it out of distribution.
        return score.masked_fill((features == 0).all(-1), REFERENCE_SCORE)

    def molecule_uncertainty(self, atoms: Tensor, molecules: MoleculeBatch) -> Tensor:
        """Compute the score of each molecule from those of its atoms.

        It is the mean over the atoms, with a share of the largest, since a molecule is no better
        known than its least known part: two atoms that clash are two in many.

        Args:
            atoms: ``(n_atoms_total,)`` float64, scores of atoms.
            molecules: the molecules they belong to.

        Returns:
            ``(n_molecules,)`` float64; :data:`REFERENCE_SCORE` for an empty canvas.
        """
        mean, peak = average(atoms, molecules), self.scale.peak
        if not peak:
            return mean
        largest = torch.full_like(mean, REFERENCE_SCORE).scatter_reduce(
            0, molecules.molecule, atoms, "amax", include_self=False
        )
        return (1 - peak) * mean + peak * largest

    def save(self, weights: Path | str, weights_hash: str) -> None:
        """Write the mixture to the files that belong to some weights.

        Args:
            weights: the JSON file of the weights.
            weights_hash: the ``header_sha256`` of the weights.
        """
        header = {
            "kind": KIND,
            "weights": weights_hash,
            "elements": self.elements,
            "scale": self.scale.model_dump(),
        }
        tensors = {name: getattr(self, name).float() for name in _TENSORS}
        save_weights(uncertainty_file(weights), tensors, header)

    @classmethod
    def load(
        cls, weights: Path | str, weights_hash: str, device: torch.device | str = "cpu"
    ) -> Self | None:
        """Load the mixture that belongs to some weights.

        Args:
            weights: the JSON file of the weights.
            weights_hash: the ``header_sha256`` of the weights.
            device: the device to compute on.

        Returns:
            The mixture, or None if the weights have none.

        Raises:
            InputError: if the mixture is corrupted, or was fitted to other weights.
        """
        path = uncertainty_file(weights)
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


def uncertainty_file(weights: Path | str) -> Path:
    """Return the JSON file of the mixture that belongs to some weights.

    Args:
        weights: the JSON file of the weights.

    Example:
        >>> str(uncertainty_file("runs/mace.json"))
        'runs/mace.uncertainty.json'
    """
    return Path(weights).with_suffix(".uncertainty.json")


def remove_uncertainty(weights: Path | str) -> None:
    """Remove the mixture that stands beside weights, if there is one.

    Args:
        weights: the JSON file of the weights, which need not exist.
    """
    header = uncertainty_file(weights)
    for path in (header, header.with_suffix(".safetensors")):
        path.unlink(missing_ok=True)


def average(atoms: Tensor, molecules: MoleculeBatch) -> Tensor:
    """Average the scores of atoms over each molecule.

    Args:
        atoms: ``(n_atoms_total,)`` float64, scores of atoms.
        molecules: the molecules they belong to.

    Returns:
        ``(n_molecules,)`` float64; :data:`REFERENCE_SCORE` for an empty canvas.
    """
    mean = molecules.sum_atoms(atoms) / molecules.n_atoms.clamp(min=1)
    return mean.masked_fill(molecules.n_atoms == 0, REFERENCE_SCORE)
