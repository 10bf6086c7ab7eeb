"""The evaluator of generated molecules, which is independent of the reward they were made for.

It uses GFN2-xTB total energies before and after relaxation, and RDKit for validity and identity.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from molrl.chemistry.bonds import Validity, validity
from molrl.chemistry.geometry import rmsd
from molrl.energy import EnergyModel, load_energy
from molrl.energy.relaxation import MAX_STEPS, Report, relax
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch


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

    def summary(self) -> dict[str, Any]:
        """Return the figures of all molecules together, as plain JSON data.

        Medians are over all molecules, where a molecule without an energy counts as infinite, so
        that a failure never improves a figure. ``unique_fraction`` is distinct over valid
        molecules. The lowest energy is the lowest relaxed one of the valid molecules whose
        connectivity is preserved, given only if all molecules have the same composition. Figures
        without a value are None.
        """
        n, valid = len(self), int(self.valid.sum())
        smiles = [s for s, ok in zip(self.smiles, self.valid, strict=True) if ok]
        preserved = self.connectivity_preserved & self.valid
        usable = np.flatnonzero(preserved & np.isfinite(self.relaxed_energy))
        best = usable[self.relaxed_energy[usable].argsort()[: self.same_composition]]
        return {
            "n_molecules": n,
            "n_valid": valid,
            "valid_fraction": _fraction(valid, n),
            "n_isomers": len(set(smiles)),
            "unique_fraction": _fraction(len(set(smiles)), valid),
            "median_energy_above_relaxed": _median(self.strain),
            "median_rmsd": _median(self.rmsd),
            "identity_kept_fraction": _fraction(int(preserved.sum()), valid),
            "lowest_energy": float(self.relaxed_energy[best[0]]) if len(best) else None,
            "lowest_smiles": self.smiles[best[0]] if len(best) else None,
            "n_unconverged": int((~self.converged & np.isfinite(self.energy)).sum()),
            "n_failed": len(self.failures),
            "judge": self.evaluator,
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
