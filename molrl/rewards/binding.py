"""What each new atom binds: the energy that every step is judged by, and most are paid by."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from molrl.energy import EnergyModel
from molrl.energy.uncertainty import EXACT
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch


@dataclass(frozen=True)
class Placements:
    """Atoms just placed, to be paid for.

    Attributes:
        molecules: n canvases, the new atom the last of each.
        numbers: ``(n,)`` int64, atomic number of each new atom.
        energy: ``(n,)`` float64, eV, of each canvas before; 0 for one that was empty.
    """

    molecules: MoleculeBatch
    numbers: NDArray[np.int64]
    energy: NDArray[np.float64]


@dataclass(frozen=True)
class Payment:
    """What was paid for n placements.

    Attributes:
        reward: ``(n,)`` float64, eV; NaN where the energy failed.
        energy: ``(n,)`` float64, eV, of each canvas with its new atom; NaN where it failed.
        uncertainty: ``(n,)`` float64, of the same; NaN where it was not asked for.
        failures: index of each placement whose energy failed, with the reason.
    """

    reward: NDArray[np.float64]
    energy: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    failures: dict[int, str] = field(default_factory=dict)


class EnergyDifference:
    """What a new atom e binds to the canvas C: r = E(C) + E(e) - E(C + e), in eV.

    Over an episode it adds up to the atomisation energy, whatever the order of placement
    (Simm et al. 2020, eq. 1). The first atom is paid exactly 0, without a call of the model.

    Args:
        model: the energy.
        elements: atomic numbers that may be placed.
        uncertainty: whether the model is asked for its uncertainty too, in the same call.

    Raises:
        InputError: if the model does not know an element, has no energy for its atom, or offers
            no uncertainty and is asked for it.
    """

    def __init__(
        self, model: EnergyModel, elements: Iterable[int], uncertainty: bool = False
    ) -> None:
        if uncertainty and not model.offers_uncertainty:
            raise InputError(f"energy model {model.name!r} offers no uncertainty")
        self.model = model
        self._uncertainty = uncertainty
        known = model.atom_energies()
        self._atoms = np.full(len(chemical_symbols), np.nan)
        for number in elements:
            if not np.isfinite(known.get(number, np.nan)):
                raise InputError(
                    f"energy model {model.name!r} does not know {chemical_symbols[number]}; known "
                    f"are: {' '.join(chemical_symbols[z] for z, e in known.items() if e == e)}"
                )
            self._atoms[number] = known[number]

    def pay(self, placements: Placements) -> Payment:
        """Pay for ``placements``: one batched evaluation of those that are no first atom."""
        atoms = self._atoms[placements.numbers]
        energy = atoms.copy()
        uncertainty = np.full(len(atoms), EXACT if self._uncertainty else np.nan)
        failures: dict[int, str] = {}
        bonded = np.flatnonzero(placements.molecules.n_atoms.numpy() > 1)
        if len(bonded):
            output = self.model.evaluate(
                placements.molecules[bonded], uncertainty=self._uncertainty
            )
            energy[bonded] = output.energy.cpu().numpy()
            if output.uncertainty is not None:
                uncertainty[bonded] = output.uncertainty.cpu().numpy()
            failures = {int(bonded[i]): reason for i, reason in output.failures.items()}
        return Payment(placements.energy + atoms - energy, energy, uncertainty, failures)
