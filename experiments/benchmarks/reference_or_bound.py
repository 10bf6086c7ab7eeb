"""Energies of GFN2-xTB for structures on which its SCF may not converge."""

from dataclasses import dataclass

import numpy as np

from molrl.energy import load_energy
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


def gfn2_or_bound(molecules: MoleculeBatch) -> Reference:
    """Return the energies of GFN2-xTB."""
    reference, found = load_energy("gfn2"), [np.zeros(0)]
    for start in range(0, len(molecules), CHUNK):
        found.append(reference.evaluate(molecules[start : start + CHUNK]).energy.numpy())
    energy = np.concatenate(found)
    return Reference(energy, np.zeros(len(energy), bool))
