"""What each new atom binds: the energy that every step is judged by, and most are paid by."""

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
class RewardOutput:
    """What was paid for n placements.

    Attributes:
        reward: ``(n,)`` float64, eV; NaN where the energy failed.
        energy: ``(n,)`` float64, eV, of each canvas with its new atom; NaN where it failed.
        uncertainty: ``(n,)`` float64, of the same; NaN where it was not asked for.
        properties: name of each property that was asked for to one array for each placement:
            that of the molecule, or ``(n_atoms, ...)`` of its atoms; under ASE's names and in its
            units.
        failures: index of each placement whose energy failed, with the reason.
    """

    reward: NDArray[np.float64]
    energy: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    properties: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)


class EnergyDifference:
    """What a new atom e binds to the canvas C: r = E(C) + E(e) - E(C + e), in eV.

    Over an episode it adds up to the atomisation energy, whatever the order of placement
    (Simm et al. 2020, eq. 1). The first atom is paid exactly 0, and is evaluated only for
    properties.

    Args:
        model: the energy.
        elements: atomic numbers that may be placed.
        uncertainty: whether the model is asked for its uncertainty too, in the same call.
        properties: what else it is asked for in that call, under ASE's names.

    Raises:
        InputError: if the model does not know an element, has no energy for its atom, or offers
            no uncertainty or property that it is asked for.
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
        """Pay for ``placements``: one batched evaluation of those that are no first atom.

        Where properties are asked for, first atoms are in that evaluation too.
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
        name: ASE's, which says whether it is a property of molecules or of atoms; one that ASE
            does not know is of molecules.
        values: ``(n_molecules, ...)`` or ``(n_atoms_total, ...)``.
        molecules: the batch.
    """
    array = values.cpu().double().numpy()
    if name in all_outputs and "natoms" in all_outputs[name].shapespec:
        return np.split(array, np.cumsum(molecules.n_atoms.cpu().numpy())[:-1])
    return list(array)
