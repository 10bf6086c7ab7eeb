"""Molecules to learn to build: read, split by identity, some formulas held out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import SPLITS, MoleculeSet, shipped_molecules, split_of
from molrl.errors import InputError
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import log_message

if TYPE_CHECKING:
    from ase import Atoms
    from ase.db.row import AtomsRow

QM7_20 = (
    *("C3H6O", "C4H11N", "C4H9NO2", "C4H6O", "C4H12N2", "C3H3N", "C6H6O", "C3H2O3S", "C5H14N2"),
    *("C5H3NO", "C4H10", "C6H4S", "C5H10", "C5H8O2", "C3H9N", "C4H7N3", "C7H6", "C4H9NO", "C3H8"),
    "C4H3N3",
)
"""Test formulas of the benchmark of isomers of QM7 that generators are compared on."""

COMPARED = ("C4H7N", "C3H8O", "C5H9NO", "C3H5NO3", "C7H10O2", "C7H8N2O2")
"""Formulas of other comparisons: the large bags of Simm et al. 2020 and 2021, and two more."""

HELD_OUT = frozenset(Bag(formula).formula for formula in (*QM7_20, *COMPARED))
"""Formulas that nothing that ships learns from, so that it can be compared on them."""

_CHUNK = 256
_DATABASES = (".db", ".json")


@dataclass(frozen=True)
class TrainingSet:
    """Molecules with their identities and splits.

    Attributes:
        molecules: the geometries, float32, Å; several may be conformers of one molecule.
        identities: canonical SMILES without stereochemistry, one for each geometry.
        split: ``(n_molecules,)`` int64, index into :data:`molrl.chemistry.molecule_set.SPLITS`, a
            function of the identity, so that conformers of a molecule are in one split.

    Example:
        >>> data = load_training_set()
        >>> "C4H7N" in {bag.formula for bag in data.molecules.bags()}
        False
    """

    molecules: MoleculeBatch
    identities: tuple[str, ...]
    split: Tensor

    def __len__(self) -> int:
        return len(self.molecules)

    def __getitem__(self, chosen: Tensor) -> Self:
        """Return the molecules at indices, or where a mask is true."""
        index = torch.arange(len(self))[chosen]
        names = tuple(self.identities[i] for i in index.tolist())
        return type(self)(self.molecules[index], names, self.split[index])

    def of_split(self, name: str) -> Self:
        """Return the molecules of a split of :data:`molrl.chemistry.molecule_set.SPLITS`."""
        return self[self.split == SPLITS.index(name)]

    @property
    def elements(self) -> tuple[int, ...]:
        """The atomic numbers of the molecules, ascending."""
        return tuple(sorted(set(self.molecules.numbers.tolist())))


def load_training_set(paths: tuple[str, ...] = ()) -> TrainingSet:
    """Load the molecules to learn from, those of held-out formulas left out.

    Args:
        paths: as for :func:`read_training_set`.

    Raises:
        InputError: if a file is missing or broken, or no molecule is left of the train or the
            valid split.
    """
    joined = read_training_set(paths)
    free = [bag.formula not in HELD_OUT for bag in joined.molecules.bags()]
    kept = joined[torch.tensor(free, dtype=torch.bool)]
    for split in SPLITS[:2]:
        if not len(kept.of_split(split)):
            raise InputError(f"data: no molecule is of the {split} split; give more molecules")
    return kept


def read_training_set(paths: tuple[str, ...] = ()) -> TrainingSet:
    """Read all molecules, of whatever formula.

    Args:
        paths: molecule sets (``.npz``), files of molecules with explicit hydrogens (``.extxyz``,
            ``.xyz``, ``.sdf``) and ASE databases (``.db``, ``.json``), joined; the molecule set
            of the package for an empty name, or if there are none.

    Raises:
        InputError: if a file is missing or broken.
    """
    parts = [_load(Path(path)) if path else _of_set(shipped_molecules()) for path in paths or ("",)]
    return TrainingSet(
        MoleculeBatch.cat([part.molecules for part in parts]),
        tuple(name for part in parts for name in part.identities),
        torch.cat([part.split for part in parts]),
    )


def _load(path: Path) -> TrainingSet:
    if path.suffix == ".npz":
        return _of_set(MoleculeSet.load(path))
    molecules = _read(path).require_molecules("training").to(dtype=torch.float32)
    names: list[str | None] = []
    for start in range(0, len(molecules), _CHUNK):
        found = validity(molecules[start : start + _CHUNK])
        names += [s if ok else None for s, ok in zip(found.smiles, found.valid, strict=True)]
    valid = torch.tensor([name is not None for name in names], dtype=torch.bool)
    if not valid.all():
        dropped = int((~valid).sum())
        log_message(f"{path}: {dropped} of {len(names)} molecules are not valid and left out")
    identities = tuple(name for name in names if name is not None)
    split = torch.tensor([SPLITS.index(split_of(name)) for name in identities], dtype=torch.int64)
    return TrainingSet(molecules[valid], identities, split)


def _of_set(molecules: MoleculeSet) -> TrainingSet:
    return TrainingSet(molecules.molecules, molecules.identities, molecules.split)


def _read(path: Path) -> MoleculeBatch:
    if path.suffix not in _DATABASES:
        return read_molecules(path)
    from ase.db import connect

    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        rows = connect(str(path), type=path.suffix[1:], use_lock_file=False).select()
        atoms = [_atoms(row) for row in rows]
    except Exception as error:  # ASE and SQLite raise many kinds on a broken file
        raise InputError(f"{path} cannot be read: {error or type(error).__name__}") from None
    if not atoms:
        raise InputError(f"{path} holds no molecule")
    try:
        return MoleculeBatch.from_ase(atoms).check()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _atoms(row: "AtomsRow") -> "Atoms":
    """Return a molecule of a database with what the row states: charge and multiplicity."""
    atoms = row.toatoms()
    stated = {**row.data, **row.key_value_pairs}
    atoms.info |= {key: value for key, value in stated.items() if np.ndim(value) == 0}
    return atoms
