"""The one judge of generated molecules, which is not the reward they were made for.

GFN2-xTB energies before and after relaxation, on total energies, and RDKit for validity and
identity.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from molrl.chemistry.bonds import Validity, validity
from molrl.chemistry.geometry import rmsd
from molrl.energy import EnergyModel, load_energy
from molrl.energy.relaxation import MAX_STEPS, relax
from molrl.molecules import MoleculeBatch


@dataclass(frozen=True)
class EvaluationReport:
    """What the judge found, one entry per molecule in each array.

    Attributes:
        molecules: what was judged.
        relaxed: the same molecules at the local minimum they relax to; as they came where there
            was no energy.
        energy: float64, eV, total energy as generated; NaN where it failed.
        relaxed_energy: float64, eV, after relaxation; NaN where ``energy`` is.
        converged: bool, whether the relaxation came to a minimum. Where not, ``relaxed_energy``
            is that of the last geometry, above the minimum.
        rmsd: float64, Å, of all atoms against the relaxed geometry; NaN where ``energy`` is.
        chemistry: validity and identity as generated.
        relaxed_chemistry: the same of the relaxed geometries.
        failures: index of each molecule without an energy, with the reason.
        judge: name and hash of the energy model.
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
    judge: str

    def __len__(self) -> int:
        return len(self.molecules)

    @property
    def energy_above_relaxed(self) -> np.ndarray:
        """``(n_molecules,)`` float64, eV per molecule above its own relaxed geometry."""
        above: np.ndarray = self.energy - self.relaxed_energy
        return above

    @property
    def valid(self) -> np.ndarray:
        """``(n_molecules,)`` bool, :class:`molrl.chemistry.bonds.Validity` as generated."""
        return self.chemistry.valid

    @property
    def smiles(self) -> list[str | None]:
        """Identity of each molecule as generated, None where no bonds could be perceived."""
        return self.chemistry.smiles

    @property
    def identity_kept(self) -> np.ndarray:
        """``(n_molecules,)`` bool: it has an identity, and has the same one when relaxed."""
        pairs = zip(self.smiles, self.relaxed_chemistry.smiles, strict=True)
        return np.array([before is not None and before == after for before, after in pairs], bool)

    @property
    def same_atoms(self) -> bool:
        """Whether all molecules are made of the same atoms, so that energies can be compared."""
        made_of = {tuple(sorted(numbers.tolist())) for numbers, _ in self.molecules.arrays()}
        return len(made_of) == 1

    def summary(self) -> dict[str, Any]:
        """The figures of all molecules together, ready for JSON; None where there is none.

        The medians are over all molecules, and one without an energy counts as infinitely bad, so
        that a failure never makes a figure better. ``unique_fraction`` is distinct molecules over
        valid ones. The lowest energy is the relaxed one of the valid molecules that stay what
        they are, and is given only where all molecules are made of the same atoms.
        """
        n, valid = len(self), int(self.valid.sum())
        smiles = [s for s, ok in zip(self.smiles, self.valid, strict=True) if ok]
        usable = np.flatnonzero(self.valid & self.identity_kept & np.isfinite(self.relaxed_energy))
        best = usable[self.relaxed_energy[usable].argsort()[: self.same_atoms]]
        return {
            "n_molecules": n,
            "n_valid": valid,
            "valid_fraction": _fraction(valid, n),
            "n_isomers": len(set(smiles)),
            "unique_fraction": _fraction(len(set(smiles)), valid),
            "median_energy_above_relaxed": _median(self.energy_above_relaxed),
            "median_rmsd": _median(self.rmsd),
            "identity_kept_fraction": _fraction(
                int((self.identity_kept & self.valid).sum()), valid
            ),
            "lowest_energy": float(self.relaxed_energy[best[0]]) if len(best) else None,
            "lowest_smiles": self.smiles[best[0]] if len(best) else None,
            "n_unconverged": int((~self.converged & np.isfinite(self.energy)).sum()),
            "n_failed": len(self.failures),
            "judge": self.judge,
        }


def evaluate_molecules(
    molecules: MoleculeBatch, energy: str | EnergyModel = "gfn2", max_steps: int = MAX_STEPS
) -> EvaluationReport:
    """Judge molecules: energies, relaxations, validity, identity.

    Args:
        molecules: what was made, at least one molecule.
        energy: who judges.
        max_steps: of each relaxation.

    Raises:
        InputError: if a coordinate is not finite, two atoms are in one place, or the energy model
            does not know an element.
    """
    model = load_energy(energy)
    result = relax(molecules, model, max_steps=max_steps)
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
        judge=f"{model.name} {model.hash}",
    )


def _fraction(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _median(values: np.ndarray) -> float | None:
    """The median with NaN counted as infinite, None where it is not finite."""
    if not len(values):
        return None
    middle = float(np.median(np.where(np.isnan(values), np.inf, values)))
    return middle if np.isfinite(middle) else None
