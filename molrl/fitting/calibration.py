"""Calibration of uncertainties by the errors on structures that were not fitted to."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.uncertainty import GaussianMixture
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.labels import Progress
from molrl.molecules import MoleculeBatch

LARGE_ERROR = 0.1  # eV/atom, that the score 0 stands for
PEAK = 0.4  # share of the largest atom in a molecule's score
FLAGGED = 0.04  # of the structures with smaller errors that score above 0
_FEWEST = 30  # structures with smaller errors, and with large ones, that a calibration needs
NARROWEST = 1e-3  # range of likelihoods that the scale is made of
_CHUNK = 512


@dataclass(frozen=True)
class Evaluated:
    """Structures as a model sees them.

    Attributes:
        molecules: the structures.
        features: ``(n_atoms_total, n)``, that uncertainties are computed from.
        error: ``(n_structures,)`` float64, eV/atom, of the energy.

    Example:
        >>> evaluated = evaluate_split(model, data, ("valid", 1000), 0)  # doctest: +SKIP
        >>> evaluated.error.mean()  # doctest: +SKIP
    """

    molecules: MoleculeBatch
    features: Tensor
    error: Tensor


def evaluate_split(
    model: NetworkEnergy,
    data: Dataset,
    chosen: tuple[str, int],
    seed: int,
    progress: Progress = lambda *_: None,
) -> Evaluated:
    """Evaluate structures of a split, without those that are labelled with a bound.

    Args:
        model: the energy model.
        data: the structures.
        chosen: name of the split, and how many structures are drawn of it at most.
        seed: of the choice.
        progress: called with how far it is.
    """
    split, most = chosen
    index = torch.nonzero((data.split == data.splits.index(split)) & ~data.bound).flatten()
    generator = torch.Generator().manual_seed(seed)
    index = index[torch.randperm(len(index), generator=generator)[:most]].sort().values
    molecules, energy, _ = data.take(index)
    features, errors = [torch.zeros(0, 0)], [torch.zeros(0, dtype=torch.float64)]
    for part in torch.split(torch.arange(len(index)), _CHUNK):
        if not len(part):
            break
        output = model.evaluate(molecules[part], descriptors=True)
        assert output.descriptors is not None
        features.append(model.final_features(output.descriptors).cpu())
        errors.append((output.energy.cpu() - energy[part]).abs())
        progress(f"features of the {split} split", int(part[-1]) + 1, len(index))
    error = torch.cat(errors) / molecules.n_atoms.clamp(min=1)
    return Evaluated(molecules, torch.cat(features[1:] or features), error)


def calibrate(mixture: GaussianMixture, evaluated: Evaluated) -> GaussianMixture:
    """Move the 0 of the scale to where large errors begin.

    Of the structures whose error is at most 0.1 eV/atom, 4 % score above 0; at most as many, if
    there are fewer than 30 with larger errors. With fewer than 30 of smaller errors the scale is
    left as it is.

    Args:
        mixture: with a scale that is set by what it was fitted to.
        evaluated: structures that the model was not fitted to.
    """
    large, small = evaluated.error > LARGE_ERROR, evaluated.error <= LARGE_ERROR  # NaN: neither
    if int(small.sum()) < _FEWEST:
        return mixture
    scale = mixture.scale.model_copy(update={"peak": PEAK})
    mixture = replace(mixture, scale=scale)
    molecules = evaluated.molecules
    atoms = mixture.atom_uncertainty(evaluated.features, molecules.numbers)
    score = mixture.molecule_uncertainty(atoms, molecules)
    good = score[small & score.isfinite()]
    zero = float(torch.quantile(good, 1 - FLAGGED)) if len(good) else 0.0
    if int(large.sum()) < _FEWEST:
        zero = max(zero, 0.0)
    # The score is linear in the compressed likelihood: from -1 at typical to 0 at unusual.
    unusual = scale.unusual + zero * (scale.unusual - scale.typical)
    unusual = max(unusual, scale.typical + NARROWEST)
    return replace(mixture, scale=scale.model_copy(update={"unusual": unusual}))
