"""Near-duplicates: molecules in nearly the same geometry."""

import torch
from torch import Tensor

from molrl.energy.descriptors.interface import Descriptors
from molrl.molecules import MoleculeBatch


def without_duplicates(
    molecules: MoleculeBatch, descriptors: Descriptors, tolerance: float = 0.05
) -> Tensor:
    """Return which molecules are left if those that resemble an earlier one are dropped.

    Molecules of the same atoms are compared by the root-mean-square difference of their atoms'
    descriptors, in units of their norm; atoms of an element are paired in the order of the first
    principal component of the descriptors. Mirror images, rotations and permutations of a molecule
    are duplicates of it; conformers are, if they are nearly the same.

    Args:
        molecules: n molecules, of elements that the descriptors know.
        descriptors: see :func:`~molrl.energy.descriptors.load.load_descriptors`.
        tolerance: largest difference of duplicates.

    Returns:
        ``(m,)`` int64, ascending indices of molecules.

    Example:
        >>> from ase.build import molecule
        >>> from molrl.energy.descriptors import load_descriptors
        >>> batch = MoleculeBatch.from_ase([molecule("H2O"), molecule("CH4"), molecule("H2O")])
        >>> without_duplicates(batch, load_descriptors("mace-small"))
        tensor([0, 1])
    """
    with torch.no_grad():
        features = descriptors(molecules.to(descriptors.device)).double().cpu()
    molecules = molecules.to("cpu")
    if not len(features):
        return torch.arange(min(1, len(molecules)))
    scale = features.square().sum(-1).mean().sqrt()
    middle = features - features.mean(0)
    _, _, axes = torch.linalg.svd(middle.T @ middle)
    kept: dict[tuple[int, ...], list[Tensor]] = {}
    left = []
    along, parts = middle @ axes[0], torch.split(features, molecules.n_atoms.tolist())
    ends = torch.split(along, molecules.n_atoms.tolist())
    numbers = torch.split(molecules.numbers, molecules.n_atoms.tolist())
    for i, (x, place, z) in enumerate(zip(parts, ends, numbers, strict=True)):
        by_place = torch.argsort(place, stable=True)
        order = by_place[torch.argsort(z[by_place], stable=True)]
        earlier = kept.setdefault(tuple(z[order].tolist()), [])
        own = x[order]
        if earlier:
            apart = (torch.stack(earlier) - own).square().sum(-1).mean(-1).sqrt() / scale
            if bool((apart <= tolerance).any()):
                continue
        earlier.append(own)
        left.append(i)
    return torch.tensor(left, dtype=torch.int64)
