"""The evaluator of generated molecules, which is independent of the reward they were made for.

It uses GFN2-xTB total energies before and after relaxation, and RDKit for validity and identity.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms

from molrl.chemistry.bonds import Validity, validity
from molrl.chemistry.geometry import rmsd
from molrl.energy import EnergyModel, load_energy
from molrl.energy.descriptors import Nearest, load_descriptors, nearest_molecules
from molrl.energy.relaxation import MAX_STEPS, Report, relax
from molrl.errors import InputError
from molrl.evaluation.description import Description, change, describe, diversity
from molrl.molecules import MoleculeBatch

SCHEMA_VERSION = 1  # of the summary
CHANGES = ("same", "changed", "fragmented", "mirrored")


@dataclass(frozen=True)
class EvaluationReport:
    """The evaluation of molecules, one entry per molecule in each array.

    Attributes:
        molecules: the molecules as generated, with their charges and multiplicities.
        relaxed: the same molecules relaxed to a local minimum; as generated if they have no
            energy.
        energy: float64, eV, total energy as generated; NaN where it failed.
        relaxed_energy: float64, eV, after relaxation; NaN where ``energy`` is.
        converged: bool, whether the relaxation converged. Where not, ``relaxed_energy`` is that of
            the last geometry, above the minimum.
        rmsd: float64, Å, of all atoms from the relaxed geometry; NaN where ``energy`` is.
        chemistry: validity and identity as generated.
        relaxed_chemistry: the same of the relaxed geometries.
        failures: the reason for each molecule without an energy, by its index.
        evaluator: name and hash of the energy model.

    Example:
        >>> report = molrl.evaluate(molecules)  # doctest: +SKIP
        >>> report.valid.mean(), np.median(report.strain)  # doctest: +SKIP
        (0.98, 0.21)
    """

    molecules: MoleculeBatch
    relaxed: MoleculeBatch
    energy: np.ndarray
    relaxed_energy: np.ndarray
    converged: np.ndarray
    rmsd: np.ndarray
    chemistry: Validity
    relaxed_chemistry: Validity
    failures: dict[int, str]
    evaluator: str

    def __len__(self) -> int:
        return len(self.molecules)

    @property
    def strain(self) -> np.ndarray:
        """``(n_molecules,)`` float64, eV: strain energy, above the relaxed geometry."""
        strain: np.ndarray = self.energy - self.relaxed_energy
        return strain

    @property
    def valid(self) -> np.ndarray:
        """``(n_molecules,)`` bool, :class:`molrl.chemistry.bonds.Validity` as generated."""
        return self.chemistry.valid

    @property
    def smiles(self) -> list[str | None]:
        """Identity of each molecule as generated, None if no bonds could be perceived."""
        return self.chemistry.smiles

    @property
    def reasons(self) -> list[str]:
        """Why each molecule is not valid as generated, ``""`` for a valid one."""
        return self.chemistry.reasons

    @property
    def connectivity_preserved(self) -> np.ndarray:
        """``(n_molecules,)`` bool: the relaxed molecule has the same identity."""
        pairs = zip(self.smiles, self.relaxed_chemistry.smiles, strict=True)
        return np.array([before is not None and before == after for before, after in pairs], bool)

    @property
    def same_composition(self) -> bool:
        """Whether all molecules have the same atoms and charge, so that energies are comparable."""
        atoms = (tuple(sorted(numbers.tolist())) for numbers, _ in self.molecules.arrays())
        return len(set(zip(atoms, self.molecules.charge.tolist(), strict=True))) == 1

    @cached_property
    def description(self) -> Description:
        """InChIKeys, symmetric RMSD, geometric checks and the like; computed when first read."""
        return describe(self.chemistry, self.relaxed_chemistry)

    @cached_property
    def changes(self) -> list[str | None]:
        """What the relaxation made of each molecule, one of :data:`CHANGES`, by its identity.

        Other stereoisomers have another identity here; None where there is no identity before, or
        no energy. See :func:`molrl.evaluation.description.change`.
        """
        before, after = self.chemistry, self.relaxed_chemistry
        parts = zip(before.n_fragments.tolist(), after.n_fragments.tolist(), strict=True)
        energies = np.isfinite(self.energy).tolist()
        rows = zip(before.mols, after.mols, parts, energies, strict=True)
        return [
            None if mol is None or not known else change(mol, relaxed, n_fragments)
            for mol, relaxed, n_fragments, known in rows
        ]

    @property
    def distinct(self) -> list[int]:
        """Index of the first molecule of each identity among the valid ones."""
        first: dict[str | None, int] = {}
        for i in np.flatnonzero(self.valid).tolist():
            first.setdefault(self.smiles[i], i)
        return list(first.values())

    def novel(self, known: Collection[str]) -> np.ndarray:
        """Return which molecules are valid and not among known ones.

        Args:
            known: canonical SMILES without stereochemistry
                (:func:`molrl.chemistry.identity.canonical_smiles`).

        Returns:
            ``(n_molecules,)`` bool.
        """
        new = np.array([smiles not in known for smiles in self.smiles], bool)
        novel: np.ndarray = self.valid & new
        return novel

    def nearest(self, known: MoleculeBatch, descriptors: str = "tensor-reduced") -> Nearest:
        """Return the most similar known molecule of each, and how similar it is.

        What :meth:`novel` tells by identity, this tells by degrees: a molecule far from all known
        ones is new in more than a position of a group. Compared are the environments of the atoms
        in the relaxed geometries, as strain would look like novelty.

        Args:
            known: at least one molecule, relaxed if it can be.
            descriptors: what describes environments; the default needs no data and was no part of
                any reward, see :func:`molrl.energy.descriptors.load.load_descriptors`.

        Returns:
            Indices of known molecules and similarities from 0 to 1, see
            :func:`molrl.energy.descriptors.nearest.nearest_molecules`.

        Raises:
            InputError: if there is no known molecule, or the descriptors are unknown or do not know
                an element.

        Example:
            >>> report.nearest(molrl.read("train.sdf")).similarity  # doctest: +SKIP
            array([0.82, 0.41])
        """
        return nearest_molecules(self.relaxed, known, load_descriptors(descriptors))

    def lowest(self) -> int | None:
        """Return the index of the lowest relaxed energy; None where energies do not compare.

        Of the valid molecules whose connectivity is preserved, if all molecules have the same
        composition.
        """
        usable = self.valid & self.connectivity_preserved & np.isfinite(self.relaxed_energy)
        if not self.same_composition or not usable.any():
            return None
        return int(np.where(usable, self.relaxed_energy, np.inf).argmin())

    def summary(self) -> dict[str, Any]:
        """Return the figures of all molecules together, as plain JSON data.

        Medians are over all molecules, where a molecule without an energy counts as infinite, so
        that a failure never improves a figure; those of ``median_accessibility`` and shares of the
        geometric checks are over valid molecules. ``unique_fraction`` is distinct over valid
        molecules. The lowest energy is that of :meth:`lowest`. Figures without a value are None.
        """
        n, valid, distinct = len(self), int(self.valid.sum()), len(self.distinct)
        preserved = int((self.connectivity_preserved & self.valid).sum())
        best, strain = self.lowest(), _median(self.strain)
        return {
            "schema_version": SCHEMA_VERSION,
            "n_molecules": n,
            "n_valid": valid,
            "valid_fraction": _fraction(valid, n),
            "n_distinct": distinct,
            "unique_fraction": _fraction(distinct, valid),
            "median_strain": strain,
            "median_rmsd": _median(self.rmsd),
            "identity_kept_fraction": _fraction(preserved, valid),
            "lowest_energy": None if best is None else float(self.relaxed_energy[best]),
            "lowest_smiles": None if best is None else self.smiles[best],
            "n_unconverged": int((~self.converged & np.isfinite(self.energy)).sum()),
            "n_failed": len(self.failures),
            **self._described(valid),
            "evaluator": self.evaluator,
        }

    def _described(self, valid: int) -> dict[str, Any]:
        """Return the figures of the description, of what changed, and of what is not valid."""
        made, chosen = self.description, np.flatnonzero(self.valid)
        failed = Counter(name for i in chosen for name in made.failed_checks[i] or ())
        changed = Counter(name for name in self.changes if name is not None)
        fingerprints = [made.fingerprints[i] for i in self.distinct if i not in made.failures]
        accessibility = made.accessibility[chosen]
        return {
            "relaxations": {name: changed[name] for name in CHANGES},
            "invalid": dict(Counter(filter(None, self.reasons)).most_common()),
            "checks_passed_fraction": _fraction(int(made.passed[chosen].sum()), valid),
            "checks_failed": dict(failed.most_common()),
            "diversity": diversity(fingerprints),
            "median_accessibility": _median(accessibility[np.isfinite(accessibility)]),
            "n_not_described": len(made.failures),
        }


def evaluate_molecules(
    molecules: MoleculeBatch | Atoms | Iterable[Atoms],
    energy: str | EnergyModel = "gfn2",
    max_steps: int = MAX_STEPS,
    report: Report = lambda done, total: None,
) -> EvaluationReport:
    """Evaluate molecules: energies, relaxations, validity, identity.

    Args:
        molecules: at least one molecule, a batch or ASE atoms; charges and multiplicities count.
        energy: the energy model, or its name.
        max_steps: limit of each relaxation.
        report: called with the number of molecules whose relaxation has finished, and of all.

    Returns:
        The report.

    Raises:
        InputError: if there is no molecule, a coordinate is not finite, two atoms are in one
            place, or the energy model does not know an element.

    Example:
        >>> from ase.build import molecule
        >>> report = molrl.evaluate([molecule("H2O"), molecule("CH3OH")])
        >>> report.smiles, report.summary()["valid_fraction"]
        (['O', 'CO'], 1.0)
    """
    if not isinstance(molecules, MoleculeBatch):
        molecules = MoleculeBatch.from_ase(molecules)
    if not len(molecules):
        raise InputError("there are no molecules to evaluate; give at least one")
    model = load_energy(energy)
    result = relax(molecules, model, max_steps=max_steps, report=report)
    before = result.start_energy.cpu().numpy()
    moved = rmsd(molecules, result.molecules).cpu().numpy()
    return EvaluationReport(
        molecules=molecules,
        relaxed=result.molecules,
        energy=before,
        relaxed_energy=result.energy.cpu().numpy(),
        converged=result.converged.cpu().numpy(),
        rmsd=np.where(np.isfinite(before), moved, np.nan),
        chemistry=validity(molecules),
        relaxed_chemistry=validity(result.molecules),
        failures=result.failures,
        evaluator=f"{model.name} {model.hash}",
    )


def _fraction(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _median(values: np.ndarray) -> float | None:
    """Return the median, with NaN counted as infinite; None if it is not finite."""
    if not len(values):
        return None
    middle = float(np.median(np.where(np.isnan(values), np.inf, values)))
    return middle if np.isfinite(middle) else None
