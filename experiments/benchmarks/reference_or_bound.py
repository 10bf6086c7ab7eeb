"""Energies of GFN2-xTB, or lower bounds where its SCF does not converge at 300 K."""

from dataclasses import dataclass

import numpy as np

from molrl.energy import load_energy
from molrl.energy.lower_bound import evaluate_or_bound
from molrl.molecules import MoleculeBatch

CHUNK = 512


@dataclass(frozen=True)
class Reference:
    """Energies of n structures.

    Attributes:
        energy: ``(n,)`` float64, eV; NaN where there is none.
        bound: ``(n,)`` bool, where the energy is only a lower bound.
    """

    energy: np.ndarray
    bound: np.ndarray

    def error(self, energy: np.ndarray) -> np.ndarray:
        """Return the errors that are known of energies ``(n,)``, eV.

        Of an energy above a bound none is known, so it is 0; NaN where there is no reference.
        """
        difference = energy - self.energy
        return np.where(self.bound, np.minimum(difference, 0), difference)

    def refutes(self, energy: np.ndarray, best: float) -> np.ndarray:
        """Return whether claims that structures are below a best energy are refuted.

        Args:
            energy: ``(n,)`` eV, that of the model that claims it.
            best: eV, in the reference.

        Returns:
            ``(n,)`` bool: the reference, or its bound, is above the best energy, the claim is below
            the bound, or no SCF converges.
        """
        refuted: np.ndarray = ~(self.energy <= best) | (self.bound & (energy < self.energy))
        return refuted


def gfn2_or_bound(molecules: MoleculeBatch) -> Reference:
    """Return the energies of GFN2-xTB by the rule of :func:`evaluate_or_bound`."""
    reference = load_energy("gfn2")
    energy, bound = [np.zeros(0)], [np.zeros(0, bool)]
    for start in range(0, len(molecules), CHUNK):
        output, bounds = evaluate_or_bound(reference, molecules[start : start + CHUNK])
        energy.append(output.energy.cpu().numpy())
        bound.append(bounds.cpu().numpy())
    return Reference(np.concatenate(energy), np.concatenate(bound))
