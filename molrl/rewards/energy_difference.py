"""Energy difference of each placed atom, by which atoms are rejected and mostly rewarded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase.data import chemical_symbols
from ase.outputs import all_outputs
from numpy.typing import NDArray
from torch import Tensor

from molrl.energy import EnergyModel
from molrl.energy.uncertainty import REFERENCE_SCORE
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch


@dataclass(frozen=True)
class Placements:
    """Atoms that were just placed on n canvases.

    Attributes:
        molecules: n canvases, each with its new atom as the last.
        numbers: ``(n,)`` int64, atomic number of each new atom.
        energy: ``(n,)`` float64, eV, of each canvas before; 0 for an empty canvas.
    """

    molecules: MoleculeBatch
    numbers: NDArray[np.int64]
    energy: NDArray[np.float64]


@dataclass(frozen=True)
class RewardOutput:
    """Energy differences of n placements.

    Attributes:
        reward: ``(n,)`` float64, eV; NaN where the energy failed.
        energy: ``(n,)`` float64, eV, of each canvas with its new atom; NaN where it failed.
        uncertainty: ``(n,)`` float64, of each canvas; NaN where it was not requested.
        properties: name of each requested property to one array for each placement: that of the
            molecule, or ``(n_atoms, ...)`` of its atoms; ASE's names and units.
        failures: index of each placement whose energy failed, with the cause.
    """

    reward: NDArray[np.float64]
    energy: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    properties: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


class EnergyDifference:
    """Energy difference r = E(C) + E(e) - E(C + e) of a new atom e on a canvas C, in eV.

    Over an episode it adds up to the atomisation energy, whatever the order of placement
    (Simm et al. 2020, eq. 1). For the first atom it is exactly 0; first atoms are evaluated only
    for properties.

    Args:
        model: energy model.
        elements: atomic numbers that can be placed.
        uncertainty: whether the uncertainty is computed in the same evaluation.
        properties: other properties that are computed in that evaluation, under ASE's names.

    Raises:
        InputError: if the model does not know an element, has no energy for its atom, or does not
            offer the uncertainty or a property.
    """

    def __init__(
        self,
        model: EnergyModel,
        elements: Iterable[int],
        uncertainty: bool = False,
        properties: Sequence[str] = (),
    ) -> None:
        model.check_properties(properties)
        if uncertainty and not model.offers_uncertainty:
            raise InputError(f"energy model {model.name!r} offers no uncertainty")
        self.model = model
        self._uncertainty, self._properties = uncertainty, tuple(properties)
        known = model.atom_energies()
        self._atoms = np.full(len(chemical_symbols), np.nan)
        for number in elements:
            if not np.isfinite(known.get(number, np.nan)):
                raise InputError(
                    f"energy model {model.name!r} does not know {chemical_symbols[number]}; known "
                    f"are: {' '.join(chemical_symbols[z] for z, e in known.items() if e == e)}"
                )
            self._atoms[number] = known[number]

    def compute_reward(self, placements: Placements) -> RewardOutput:
        """Compute the energy differences of placements in one batched evaluation.

        Args:
            placements: n placements; first atoms are evaluated only if properties are requested.
        """
        atoms = self._atoms[placements.numbers]
        energy = atoms.copy()
        uncertainty = np.full(len(atoms), REFERENCE_SCORE if self._uncertainty else np.nan)
        properties: dict[str, list[NDArray[np.float64]]] = {}
        failures: dict[int, str] = {}
        bonded = placements.molecules.n_atoms.numpy() > 1
        rows = np.flatnonzero(bonded | bool(self._properties))
        if len(rows):
            molecules = placements.molecules[rows]
            output = self.model.evaluate(
                molecules, uncertainty=self._uncertainty, properties=self._properties
            )
            of_bonded = bonded[rows]
            energy[bonded] = output.energy.cpu().numpy()[of_bonded]
            if output.uncertainty is not None:
                uncertainty[bonded] = output.uncertainty.cpu().numpy()[of_bonded]
            properties = {
                name: split_property(name, values, molecules)
                for name, values in output.properties.items()
            }
            failures = {int(rows[i]): why for i, why in output.failures.items() if of_bonded[i]}
        reward = placements.energy + atoms - energy
        return RewardOutput(reward, energy, uncertainty, properties, failures)


def split_property(
    name: str, values: Tensor, molecules: MoleculeBatch
) -> list[NDArray[np.float64]]:
    """Split a property of a batch into one array for each molecule.

    Args:
        name: name in ASE, which determines whether it is a property of molecules or of atoms; one
            that ASE does not know is a property of molecules.
        values: ``(n_molecules, ...)`` or ``(n_atoms_total, ...)``.
        molecules: the batch.

    Returns:
        ``n_molecules`` arrays.
    """
    array = values.cpu().double().numpy()
    if name in all_outputs and "natoms" in all_outputs[name].shapespec:
        return np.split(array, np.cumsum(molecules.n_atoms.cpu().numpy())[:-1])
    return list(array)
