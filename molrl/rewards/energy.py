"""Reward terms that are energies."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.rewards.interface import Floats, Placed


class Binding:
    """What each new atom binds, eV; adds up to the atomisation energy (Simm et al. 2020)."""

    at_end: ClassVar[bool] = False
    needs: ClassVar[str] = ""

    def __init__(self, model: EnergyModel) -> None:
        """``model`` is not used: what was bound is known."""

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` eV."""
        return placed.binding


class Atomisation:
    """At the end: the atomisation energy of all atoms on the canvas, eV per atom."""

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    def __init__(self, model: EnergyModel) -> None:
        self._model = model

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` eV per atom."""
        atoms = self._model.isolated_energy(placed.molecules).cpu().numpy()
        per_atom: Floats = (atoms - placed.energy) / placed.molecules.n_atoms.numpy()
        return per_atom


class RelativeEnergy:
    """At the end: the energy of a reference less that of the molecule, eV.

    Args:
        model: the energy.
        references: formula to the total energy of the reference, eV.

    Raises:
        InputError: if there is none, or one is no formula.
    """

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    def __init__(self, model: EnergyModel, references: Mapping[str, float]) -> None:
        if not isinstance(references, Mapping) or not references:
            raise InputError('references are a mapping such as {"CH4O": -231.3}, eV')
        self._references = {Bag(formula): float(e) for formula, e in references.items()}
        for bag, energy in self._references.items():
            if not np.isfinite(energy):
                raise InputError(f"the reference energy of {bag} is {energy}, not a finite number")

    def check_bag(self, bag: Bag) -> None:
        """Check that there is a reference for molecules of a bag.

        Raises:
            InputError: if there is none.
        """
        if bag not in self._references:
            known = ", ".join(map(str, self._references))
            raise InputError(f"no reference energy for {bag}; there is one for {known}")

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` eV; NaN where a formula has no reference."""
        references = [self._references.get(bag, np.nan) for bag in placed.molecules.bags()]
        return np.array(references) - placed.energy


class RelaxedEnergy:
    """At the end: the atomisation energy after relaxation under the model, eV.

    All atoms relax, those that were fixed during the episode too.
    """

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    def __init__(self, model: EnergyModel) -> None:
        self._model = model

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` eV."""
        energy: Floats = placed.relaxed.energy.cpu().numpy()
        atoms: Floats = self._model.isolated_energy(placed.molecules).cpu().numpy()
        return atoms - energy


class RelaxationMove:
    """At the end: less the root-mean-square way of the atoms in relaxation, Å."""

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    def __init__(self, model: EnergyModel) -> None:
        """``model`` is not used: the way was gone already."""

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` Å, never positive."""
        from molrl.chemistry.geometry import rmsd

        return -rmsd(placed.molecules, placed.relaxed.molecules).numpy()


class Uncertainty:
    """At the end: less the energy model's own uncertainty, as far as it is above 0, charged once.

    0 is as uncertain as the 99 % quantile of what the model was fitted to and learnt; see
    :meth:`molrl.energy.uncertainty.GaussianMixture.atom_uncertainty`.

    Raises:
        InputError: if the model offers none.
    """

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    def __init__(self, model: EnergyModel) -> None:
        if not model.offers_uncertainty:
            raise InputError(f"energy model {model.name!r} offers no uncertainty")

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)``, never positive."""
        return -np.maximum(placed.uncertainty, 0.0)
