"""Known molecules, which new ones are compared with."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import MoleculeSet
from molrl.evaluation.evaluator import EvaluationReport
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import log_message, progress

_CHUNK = 64


def read_known(path: Path | str) -> frozenset[str]:
    """Read the identities of the molecules in a file.

    Molecules whose coordinates fit no Lewis structure have none; a line says how many.

    Args:
        path: ``.extxyz``, ``.xyz`` or ``.sdf``; or a molecule set, ``.npz``, of
            ``molrl energy molecules``.

    Returns:
        Canonical SMILES without stereochemistry.

    Raises:
        InputError: if the file is missing or broken.

    Example:
        >>> read_known("train.extxyz")  # doctest: +SKIP
        frozenset({'CO', 'CCO'})
    """
    path = Path(path)
    if path.suffix == ".npz":
        return frozenset(MoleculeSet.load(path).identities)
    molecules = read_molecules(path)
    found: list[str | None] = []
    with progress(len(molecules), f"identified in {path.name}") as bar:
        for start in range(0, len(molecules), _CHUNK):
            found += validity(molecules[start : start + _CHUNK]).smiles
            bar.update(len(found))
    if None in found:
        log_message(f"{found.count(None)} of the {len(found)} molecules in {path} have no identity")
    return frozenset(name for name in found if name is not None)


class NearestKnown(NamedTuple):
    """The nearest known molecule of each of n molecules.

    Attributes:
        smiles: of the known molecule; None if its coordinates fit no Lewis structure.
        similarity: ``(n,)`` float64, 0 to 1.

    Example:
        >>> NearestKnown(["CO"], np.array([0.7])).smiles
        ['CO']
    """

    smiles: list[str | None]
    similarity: np.ndarray


def read_structures(path: Path | str) -> MoleculeBatch:
    """Read the geometries of the molecules in a file.

    Args:
        path: as for :func:`read_known`.

    Raises:
        InputError: if the file is missing or broken.

    Example:
        >>> read_structures("train.extxyz")  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix == ".npz":
        return MoleculeSet.load(path).molecules
    return read_molecules(path).require_molecules(str(path))


def nearest_known(report: EvaluationReport, known: MoleculeBatch) -> NearestKnown:
    """Return the most similar known molecule of each evaluated one, by its SMILES.

    Args:
        report: the evaluation of the molecules.
        known: as for :meth:`molrl.evaluation.evaluator.EvaluationReport.nearest`.

    Raises:
        InputError: if there is no known molecule.

    Example:
        >>> nearest_known(report, read_structures("train.extxyz"))  # doctest: +SKIP
        NearestKnown(smiles=['CCO'], similarity=array([0.82]))
    """
    found = report.nearest(known)
    chosen, which = np.unique(found.index, return_inverse=True)
    smiles = validity(known[chosen.tolist()]).smiles
    return NearestKnown([smiles[i] for i in which], found.similarity)
