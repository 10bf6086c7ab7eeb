"""The nearest of a set of molecules, by a kernel between the environments of their atoms."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from molrl.energy.descriptors.interface import Descriptors
from molrl.energy.networks.batched import chunks
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

SHARPNESS = (
    30.0  # at which homologues have a similarity of about 0.8, by tensor-reduced descriptors
)
_ATOMS, _KNOWN_ATOMS = 512, 4096  # of a chunk of the matrix atoms x atoms of known molecules


@dataclass(frozen=True)
class Nearest:
    """The nearest known molecule of each of n molecules.

    Attributes:
        index: ``(n,)`` int64, of the known molecule.
        similarity: ``(n,)`` float64, 0 to 1: 1 for the same geometry or its mirror image.

    Example:
        >>> Nearest(np.array([3]), np.array([0.92])).similarity
        array([0.92])
    """

    index: NDArray[np.int64]
    similarity: NDArray[np.float64]


def nearest_molecules(
    molecules: MoleculeBatch,
    known: MoleculeBatch,
    descriptors: Descriptors,
    sharpness: float = SHARPNESS,
) -> Nearest:
    """Return for each molecule the most similar one of known molecules.

    The similarity of the molecules A and B is the average kernel (De et al., Phys. Chem. Chem.
    Phys. 18, 13754 (2016)), K(A, B) / √(K(A, A) K(B, B)), where K is the mean over all pairs of
    atoms of exp(-s d² / 2), and d² the squared distance of their descriptors in units of the mean
    squared norm of those of the known molecules.

    Args:
        molecules: n molecules with atoms, of elements that the descriptors know.
        known: at least one such molecule.
        descriptors: see :func:`~molrl.energy.descriptors.load.load_descriptors`.
        sharpness: s, above 0.

    Returns:
        The indices and similarities.

    Raises:
        InputError: if there is no known molecule, one has no atom, or an element is not known.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.energy.descriptors import load_descriptors
        >>> known = MoleculeBatch.from_ase([molecule("H2O"), molecule("CH3OH")])
        >>> ethanol = MoleculeBatch.from_ase(molecule("CH3CH2OH"))
        >>> nearest_molecules(ethanol, known, load_descriptors("tensor-reduced")).index
        array([1])
    """
    known, molecules = (_checked(batch, descriptors) for batch in (known, molecules))
    if not len(known):
        raise InputError("there is no known molecule to compare with; give at least one")
    parts = [known[part] for part in chunks(known.n_atoms, _KNOWN_ATOMS)]
    with torch.no_grad():
        features = [descriptors(part) for part in parts]
    every = torch.cat(features)
    middle = every.mean(0)  # differences of small numbers keep float32 precise
    scale = sharpness / float(every.double().square().sum(-1).mean())
    of_known = [(part, y - middle) for part, y in zip(parts, features, strict=True)]
    own = [_sums(batch, z, batch, z, scale).diagonal().sqrt() for batch, z in of_known]
    index, similarity = [], []
    for part in chunks(molecules.n_atoms, _ATOMS):
        batch = molecules[part]
        with torch.no_grad():
            x = descriptors(batch) - middle
        rows = [
            _sums(batch, x, other, z, scale) / norm
            for (other, z), norm in zip(of_known, own, strict=True)
        ]
        norm = _sums(batch, x, batch, x, scale).diagonal().sqrt()
        best = (torch.cat(rows, 1) / norm[:, None]).max(1)
        index.append(best.indices)
        similarity.append(best.values.clamp(0, 1))
    found = torch.cat(index).cpu().numpy()
    return Nearest(found, torch.cat(similarity).double().cpu().numpy())


def _checked(molecules: MoleculeBatch, descriptors: Descriptors) -> MoleculeBatch:
    if bool((molecules.n_atoms == 0).any()):
        raise InputError("a molecule without atoms has no nearest one; leave it out")
    return molecules.to(descriptors.device, torch.float32).check(descriptors.elements)


def _sums(
    first: MoleculeBatch, x: Tensor, second: MoleculeBatch, y: Tensor, scale: float
) -> Tensor:
    """Return ``(n_first, n_second)``, the sum of the kernel over the pairs of atoms."""
    kernel = torch.exp(-0.5 * scale * torch.cdist(x, y).square())
    of_first = kernel.new_zeros(len(first), len(y)).index_add(0, first.molecule, kernel)
    return kernel.new_zeros(len(first), len(second)).index_add(1, second.molecule, of_first)
