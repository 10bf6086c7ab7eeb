"""The reference molecules whose environments SiMGen imitates."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch

from molrl.bags import Bag, valences
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.errors import InputError
from molrl.files import read_molecules
from molrl.generators.simgen.skeletons import Skeletons, without_hydrogens
from molrl.molecules import MoleculeBatch

_SIZE_WEIGHT = 0.02  # of a heavy atom more or less, against a share of 1 of an element
_SMALLEST = 3  # heavy atoms of a shipped molecule that serves, unless fewer are to be placed


def reference_skeletons(
    bags: Sequence[Bag], size: int, source: str | Path | MoleculeBatch | None = None
) -> Skeletons:
    """Return the molecules without hydrogens whose composition is nearest to that of bags.

    Compared are the share of each element among the heavy atoms, the rings and double bonds per
    heavy atom, and, less so, the size, each averaged over the bags.

    Args:
        bags: of finished molecules, with their hydrogens; none: all molecules are as good, and
            every n-th is taken.
        size: most molecules that are returned.
        source: molecules, or a file of them; None: the shipped molecule set, without those held out
            for validation and test.

    Raises:
        InputError: if the file cannot be read, or no molecule has a heavy atom.
    """
    molecules, features, n_heavy = _shipped() if source is None else _describe(source)
    if not len(molecules):
        raise InputError("no reference molecule has a heavy atom; give a file that has some")
    skeletons = without_hydrogens(molecules)
    if not bags:
        usable = np.flatnonzero(n_heavy >= min(_SMALLEST, n_heavy.max()))
        chosen = usable[np.linspace(0, len(usable) - 1, min(size, len(usable))).astype(int)]
        return skeletons[chosen]
    wanted = np.mean([_features(bag) for bag in bags], axis=0)
    distance = np.abs(features - wanted).sum(1)
    fewest = min(_SMALLEST, *(_n_heavy(bag) for bag in bags)) if source is None else 1
    distance[n_heavy < fewest] = np.inf
    order = np.argsort(distance, kind="stable")[:size]
    return skeletons[order[np.isfinite(distance[order])]]


@cache
def _shipped() -> tuple[MoleculeBatch, np.ndarray, np.ndarray]:
    return _describe(shipped_molecules().of_split("train").molecules)


def _describe(
    source: str | Path | MoleculeBatch,
) -> tuple[MoleculeBatch, np.ndarray, np.ndarray]:
    """Return molecules with heavy atoms, what is compared of them, and their heavy atoms."""
    molecules = source if isinstance(source, MoleculeBatch) else read_molecules(Path(source))
    molecules = molecules.require_molecules("SiMGen's reference")
    heavy = molecules.sum_atoms((molecules.numbers > 1).long())
    molecules = molecules[torch.nonzero(heavy > 0).flatten()]
    bags = molecules.bags()
    features = np.array([_features(bag) for bag in bags]).reshape(len(bags), -1)
    n_heavy = heavy[heavy > 0].cpu().numpy()  # a batch of the caller may be on a GPU
    return molecules.to(dtype=torch.float32), features, n_heavy


def _n_heavy(bag: Bag) -> int:
    return bag.n_atoms - bag[1]


def _features(bag: Bag) -> np.ndarray:
    """Return the share of each of some elements, unsaturation per heavy atom, and the size."""
    n = max(1, _n_heavy(bag))
    total = sum(valences(z)[0] for z in bag.numbers if z != 1)
    unsaturation = (total - bag[1]) / 2 - (n - 1)
    shares = [bag[z] / n for z in (6, 7, 8, 9, 16)]
    return np.array([*shares, unsaturation / n, _SIZE_WEIGHT * n])
