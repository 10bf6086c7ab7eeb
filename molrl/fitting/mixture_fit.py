"""Fits of a mixture of Gaussians to the features of a training set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.uncertainty import GaussianMixture, Scale, average, remove_uncertainty
from molrl.errors import InputError
from molrl.fitting.calibration import NARROWEST, calibrate, evaluate_split
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.labels import Progress
from molrl.molecules import MoleculeBatch
from molrl.runs.weights import read_json

N_GAUSSIANS = 2
MAX_STRUCTURES = 20_000
MAX_CALIBRATION = 8000  # structures of the validation split
RIDGE = 1e-4  # added to each variance, as a share of the mean variance of the element's features
_ATOMS_PER_FEATURE = 5  # of each Gaussian; with fewer a covariance is noise, and is shrunk
_FEWEST = 10  # atoms of an element
_MAX_ITERATIONS = 100
_CONVERGED = 1e-3  # gain in the mean log-likelihood of an atom


def with_uncertainty(
    weights: Path, data: Dataset, seed: int, device: str, progress: Progress = lambda *_: None
) -> NetworkEnergy:
    """Fit a mixture to what weights were fitted to, write it beside them, and load both.

    Args:
        weights: the JSON file; a mixture that stands beside it is replaced.
        data: what the weights were fitted to.
        seed: as for :func:`fit_uncertainty`.
        device: where to compute.
        progress: called with how far it is.

    Raises:
        InputError: as for :func:`fit_uncertainty`.
    """
    remove_uncertainty(weights)  # it may belong to other weights
    # The network was fitted to the data, whatever their charges are.
    model = NetworkEnergy(weights, device).ignoring_charge()
    mixture = fit_uncertainty(model, data, seed, progress)
    mixture.save(weights, str(read_json(weights)["header_sha256"]))
    return NetworkEnergy(weights, device).ignoring_charge()


def fit_uncertainty(
    model: NetworkEnergy, data: Dataset, seed: int = 0, progress: Progress = lambda *_: None
) -> GaussianMixture:
    """Fit the mixture of a model's final-layer features over the structures that it has learnt.

    That is the half of the train split with the smaller errors per atom: what the model gets
    wrong although it was fitted to it is no standard for others.

    Args:
        model: the energy model.
        data: what it was fitted to; 20,000 structures are drawn if there are more.
        seed: of the choice of structures and of where the Gaussians start.
        progress: called with how far it is.

    The scale's 0 is set by the errors on the validation split.

    Raises:
        InputError: if the data hold fewer than ten atoms of each element.
    """
    train = evaluate_split(model, data, ("train", MAX_STRUCTURES), seed, progress)
    learnt = train.error <= train.error.nanmedian()
    kept = train.features[learnt[train.molecules.molecule]]
    molecules = train.molecules[learnt]
    mixture = fit_mixture(kept, molecules.numbers, model.elements, seed, progress=progress)
    mixture = scaled(mixture, kept, molecules)
    valid = evaluate_split(model, data, ("valid", MAX_CALIBRATION), seed, progress)
    return calibrate(mixture, valid).to(model.device)


def fit_mixture(
    features: Tensor,
    numbers: Tensor,
    elements: tuple[int, ...],
    seed: int,
    k: int = N_GAUSSIANS,
    progress: Progress = lambda *_: None,
) -> GaussianMixture:
    """Maximise the expectation for each element, from k-means; features that are 0 are left out.

    The covariances of an element with few atoms are shrunk towards their diagonals, since other
    atoms would lie far outside of what few of them span. One with fewer than ten atoms gets no
    mixture: its atoms are infinitely uncertain.

    Args:
        features: ``(n_atoms_total, F)``.
        numbers: ``(n_atoms_total,)`` int64.
        elements: atomic numbers to fit.
        seed: of k-means.
        k: Gaussians of each element; fewer where there are not enough atoms.
        progress: called with how far it is.

    Raises:
        InputError: if there are fewer than ten atoms of each element.
    """
    parts = {}
    for i, element in enumerate(elements):
        x = features[(numbers == element) & (features != 0).any(-1)].double()
        if len(x) >= _FEWEST:
            parts[element] = _fit_element(x, k, seed)
        progress("mixture", i + 1, len(elements))
    if not parts:
        raise InputError(f"no element has {_FEWEST} environments in the training set")
    log_weights, means, factors = (torch.stack(t) for t in zip(*parts.values(), strict=True))
    return GaussianMixture(tuple(parts), log_weights, means, factors)


def scaled(mixture: GaussianMixture, features: Tensor, molecules: MoleculeBatch) -> GaussianMixture:
    """Return the mixture with its scale set by the structures it was fitted to."""
    nll = mixture.nll(features, molecules.numbers)
    fitted = (features != 0).any(-1) & torch.isfinite(nll)
    center, high = np.quantile(nll[fitted].numpy(), [0.5, 0.9]).tolist()
    scale = Scale(center=center, width=max(high - center, NARROWEST))
    whole = molecules.sum_atoms((~fitted).long()) == 0
    mean = average(scale.compressed(nll), molecules)[whole & (molecules.n_atoms > 0)]
    if len(mean):
        typical, high = np.quantile(mean.numpy(), [0.5, 0.99]).tolist()
        unusual = max(high, typical + NARROWEST)
        scale = scale.model_copy(update={"typical": typical, "unusual": unusual})
    return replace(mixture, scale=scale)


def _fit_element(x: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Fit ``log_weights (k,)``, ``means (k, F)`` and ``factors (k, F, F)`` of one element."""
    n, width = x.shape
    used = max(1, min(k, n // (_ATOMS_PER_FEATURE * width)))
    shrinkage = max(0.0, 1 - n / (_ATOMS_PER_FEATURE * width))
    spread = x.std(0).clamp(min=1e-6)
    _, label = kmeans2((x / spread).numpy(), used, minit="++", rng=seed, missing="warn")
    share = torch.nn.functional.one_hot(torch.from_numpy(label).long(), used).double()
    ridge = RIDGE * spread.square().mean() * torch.eye(width, dtype=x.dtype)
    last = -torch.inf
    for _ in range(_MAX_ITERATIONS):
        mixture = maximised(x, share, ridge, shrinkage)
        log_p = mixture.log_likelihoods(x, 0)
        total = log_p.logsumexp(-1)
        share = (log_p - total[:, None]).exp()
        if float(total.mean()) - last < _CONVERGED:
            break
        last = float(total.mean())
    log_weights = torch.full((k,), -torch.inf, dtype=x.dtype)
    log_weights[:used] = mixture.log_weights[0]
    means, factors = x.new_zeros(k, width), torch.eye(width, dtype=x.dtype).repeat(k, 1, 1)
    means[:used], factors[:used] = mixture.means[0], mixture.factors[0]
    return log_weights, means, factors


def maximised(x: Tensor, share: Tensor, ridge: Tensor, shrinkage: float = 0.0) -> GaussianMixture:
    """Return the Gaussians that make features likeliest.

    Args:
        x: ``(n, F)``.
        share: ``(n, k)``, of each atom in each Gaussian.
        ridge: ``(F, F)``, added to the covariances.
        shrinkage: share of their diagonals in the covariances, 0 to 1.
    """
    weight = share.sum(0).clamp(min=1e-6)
    means = share.T @ x / weight[:, None]
    centred = x[None] - means[:, None]
    covariance = torch.einsum("nk,knf,kng->kfg", share, centred, centred) / weight[:, None, None]
    diagonal = torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
    covariance = torch.lerp(covariance, diagonal, shrinkage) + ridge
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(covariance))
    factors = torch.linalg.cholesky(inverse)
    log_weights = (weight / weight.sum()).log()
    return GaussianMixture((0,), log_weights[None], means[None], factors[None])
