"""Reward terms from energies."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.rewards.interface import Floats, PlacedAtoms


class BindingEnergy:
    """Reward of every atom: its binding energy, eV.

    It adds up to the atomisation energy (Simm et al. 2020).

    Args:
        model: not used; the energy differences are known already.
    """

    at_end: ClassVar[bool] = False

    def __init__(self, model: EnergyModel) -> None:
        pass

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, eV."""
        return placed.binding


class AtomisationEnergy:
    """Reward at the end: the atomisation energy of all atoms on the canvas, eV per atom.

    Args:
        model: energy model.
    """

    at_end: ClassVar[bool] = True

    def __init__(self, model: EnergyModel) -> None:
        self._model = model

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, eV per atom."""
        atoms = self._model.isolated_energy(placed.molecules).cpu().numpy()
        per_atom: Floats = (atoms - placed.energy) / placed.molecules.n_atoms.numpy()
        return per_atom


class RelativeEnergy:
    """Reward at the end: the energy of a reference minus that of the molecule, eV.

    Args:
        model: not used; the energies are known already.
        references: formula to the total energy of its reference, eV.

    Raises:
        InputError: if there is no reference, a formula is invalid or an energy is not finite.
    """

    at_end: ClassVar[bool] = True

    def __init__(self, model: EnergyModel, references: Mapping[str, float]) -> None:
        if not isinstance(references, Mapping) or not references:
            raise InputError('references must be a mapping such as {"CH4O": -231.3}, eV')
        self._references = {Bag(formula): float(e) for formula, e in references.items()}
        for bag, energy in self._references.items():
            if not np.isfinite(energy):
                raise InputError(f"the reference energy of {bag} is {energy}, not a finite number")

    def check_bag(self, bag: Bag) -> None:
        """Check that molecules of a bag have a reference.

        Raises:
            InputError: if they have none.
        """
        if bag not in self._references:
            known = ", ".join(map(str, self._references))
            raise InputError(f"no reference energy for {bag}; there is one for {known}")

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, eV; NaN where a formula has no reference."""
        references = [self._references.get(bag, np.nan) for bag in placed.molecules.bags()]
        return np.array(references) - placed.energy


class RelaxedEnergy:
    """Reward at the end: the atomisation energy of the relaxed molecule, eV.

    All atoms are relaxed, the fixed atoms too.

    Args:
        model: energy model.
    """

    at_end: ClassVar[bool] = True

    def __init__(self, model: EnergyModel) -> None:
        self._model = model

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, eV."""
        energy: Floats = placed.relaxed.energy.cpu().numpy()
        atoms: Floats = self._model.isolated_energy(placed.molecules).cpu().numpy()
        return atoms - energy


class RelaxationDisplacement:
    """Reward at the end: minus the RMSD between the molecule and the relaxed molecule, Å.

    Args:
        model: not used; the relaxation is done once for all terms.
    """

    at_end: ClassVar[bool] = True

    def __init__(self, model: EnergyModel) -> None:
        pass

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, Å, never positive."""
        from molrl.chemistry.geometry import rmsd

        return -rmsd(placed.molecules, placed.relaxed.molecules).numpy()


class UncertaintyPenalty:
    """Reward at the end: minus the uncertainty of the energy model, where it is above 0.

    0 is where errors of 0.1 eV/atom begin; see
    :meth:`molrl.energy.uncertainty.GaussianMixture.atom_uncertainty`.

    Args:
        model: not used; the uncertainty comes from the evaluation of the energy.
    """

    at_end: ClassVar[bool] = True
    wants: ClassVar[tuple[str, ...]] = ("uncertainty",)

    def __init__(self, model: EnergyModel) -> None:
        pass

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, never positive."""
        return -np.maximum(placed.properties["uncertainty"], 0.0)
