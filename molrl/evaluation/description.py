"""What else is known of molecules with bonds: names, checks of the geometry, diversity."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem

from molrl.chemistry.bonds import Validity
from molrl.chemistry.identity import canonical_smiles
from molrl.energy.pool import Pool, cores_of_this_rank
from molrl.evaluation import describe_worker

SECONDS = 20.0  # for one molecule; RDKit's matching and InChI can take for ever
_MAX_COMPARED = 1000  # molecules; their pairs are compared for the diversity


@dataclass(frozen=True)
class Description:
    """The description of molecules, one entry each.

    Attributes:
        inchikey: standard InChIKey; None without perceived bonds, or where InChI refuses.
        relaxed_inchikey: the same of the relaxed geometry.
        rmsd: ``(n_molecules,)`` float64, Å, from the relaxed geometry, the least of all numberings
            that the symmetry allows; NaN if the bonds changed.
        accessibility: ``(n_molecules,)`` float64, synthetic accessibility from 1, easy, to 10; NaN
            where there is none.
        failed_checks: names of the geometric checks that each molecule fails; None if they were not
            made.
        fingerprints: bits of the Morgan fingerprint of radius 2, empty where there is none.
        failures: why a molecule with bonds could not be described, by its index.

    Example:
        >>> report = molrl.evaluate(molecules)  # doctest: +SKIP
        >>> report.description.inchikey, report.description.failed_checks  # doctest: +SKIP
        (['OKKJLVBELUTLKV-UHFFFAOYSA-N'], [()])
    """

    inchikey: list[str | None]
    relaxed_inchikey: list[str | None]
    rmsd: np.ndarray
    accessibility: np.ndarray
    failed_checks: list[tuple[str, ...] | None]
    fingerprints: list[frozenset[int]]
    failures: dict[int, str]

    @property
    def passed(self) -> np.ndarray:
        """``(n_molecules,)`` bool, whether the checks were made and none failed."""
        return np.array([failed == () for failed in self.failed_checks], bool)


def describe(before: Validity, after: Validity) -> Description:
    """Describe molecules, each in a child process with a time limit of :data:`SECONDS`.

    Args:
        before: of n molecules.
        after: of the same, relaxed.
    """
    tasks = {
        i: (mol.ToBinary(), None if relaxed is None else relaxed.ToBinary())
        for i, (mol, relaxed) in enumerate(zip(before.mols, after.mols, strict=True))
        if mol is not None
    }
    results = _pool().map(list(tasks.values()))
    found: list[dict[str, Any]] = [{} for _ in before.mols]
    failures = {}
    for i, result in zip(tasks, results, strict=True):
        if isinstance(result, str):
            failures[i] = result
        else:
            found[i] = result
    return Description(
        inchikey=[one.get("inchikey") for one in found],
        relaxed_inchikey=[one.get("relaxed_inchikey") for one in found],
        rmsd=np.array([one.get("rmsd") for one in found], np.float64),
        accessibility=np.array([one.get("accessibility") for one in found], np.float64),
        failed_checks=[tuple(one["failed_checks"]) if one else None for one in found],
        fingerprints=[frozenset(one.get("fingerprint", ())) for one in found],
        failures=failures,
    )


@cache
def _pool() -> Pool:
    """Return the pool of this process; its workers, whose start takes seconds, serve all calls."""
    return Pool(Path(describe_worker.__file__), cores_of_this_rank(), SECONDS)


def diversity(fingerprints: Sequence[frozenset[int]]) -> float | None:
    """Return the mean Tanimoto distance of all pairs of molecules.

    Of more than 1,000 molecules, 1,000 evenly spaced ones are compared.

    Args:
        fingerprints: bits of each molecule.

    Returns:
        From 0 to 1; None for fewer than two molecules.

    Example:
        >>> diversity([frozenset({1, 2}), frozenset({2, 3})])
        0.6666666666666667
    """
    if len(fingerprints) < 2:
        return None
    chosen = np.linspace(0, len(fingerprints) - 1, min(len(fingerprints), _MAX_COMPARED))
    bits = np.zeros((len(chosen), 2048))
    for row, i in zip(bits, chosen.astype(int), strict=True):
        row[list(fingerprints[i])] = 1
    both, size = bits @ bits.T, bits.sum(1)
    either = size[:, None] + size - both
    similarity = both / np.where(either > 0, either, 1)
    upper = np.triu_indices(len(chosen), 1)
    return float(1 - similarity[upper].mean())


def change(before: Chem.Mol, after: Chem.Mol | None, n_fragments: tuple[int, int]) -> str:
    """Return what a relaxation made of a molecule.

    Args:
        before: with bonds and stereochemistry from its coordinates.
        after: the same relaxed; None if no bonds were perceived.
        n_fragments: before and after.

    Returns:
        ``"same"``, ``"fragmented"`` (into more parts), ``"mirrored"`` (the other enantiomer) or
        ``"changed"`` (other bonds or another stereoisomer).
    """
    if n_fragments[1] > n_fragments[0]:
        return "fragmented"
    if after is None:
        return "changed"
    old, new = canonical_smiles(before, stereo=True), canonical_smiles(after, stereo=True)
    if old == new:
        return "same"
    mirrored = Chem.Mol(before)
    for atom in mirrored.GetAtoms():
        atom.InvertChirality()
    return "mirrored" if canonical_smiles(mirrored, stereo=True) == new else "changed"
