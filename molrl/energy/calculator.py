"""Energy models as ASE calculators (Larsen et al., J. Phys.: Condens. Matter 29, 273002)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import (
    CalculationFailed,
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from ase.stress import full_3x3_to_voigt_6_stress

from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput
from molrl.energy.properties import is_of_atoms
from molrl.energy.registry import load_energy
from molrl.reading.charges import states_of_ase

_COMPUTED = ("energy", "free_energy", "forces", "stress")  # all others are further properties


class EnergyCalculator(Calculator):  # type: ignore[misc]  # ASE ships no types
    """An ASE calculator that evaluates an energy model.

    Charge (e) and multiplicity are read from ``atoms.info["charge"]`` and ``atoms.info["spin"]``,
    or their usual other names. Results are kept until the atoms change, these two included.
    Energies in eV, forces in eV/Å, stress in eV/Å³ in ASE's Voigt order.

    Args:
        model: the energy model.

    Attributes:
        model: the same.
        implemented_properties: what the model computes, under ASE's names.

    Raises:
        InputError: if the model cannot evaluate the atoms.
        CalculationFailed: if it can, but they have no energy; the message says why.

    Example:
        >>> from ase.build import molecule
        >>> water = molecule("H2O")
        >>> water.calc = EnergyCalculator(load_energy("mace"))
        >>> water.get_forces().shape
        (3, 3)
    """

    def __init__(self, model: EnergyModel) -> None:
        self.model = model
        self.implemented_properties = ["free_energy", *model.implemented_properties]
        super().__init__(model=model.name, hash=model.hash)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """Return what has changed since the last calculation; see ASE.

        Args:
            atoms: the atoms now.
            tol: largest difference of numbers that counts as none.
        """
        changes: list[str] = super().check_state(atoms, tol)
        if self.atoms is not None and states_of_ase([self.atoms]) != states_of_ase([atoms]):
            changes.append("charge and spin")
        return changes

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute properties into ``results``; the energy comes with all others.

        Args:
            atoms: the atoms; those of the last calculation, if None.
            properties: of :attr:`implemented_properties`.
            system_changes: what has changed since the last calculation.
        """
        if system_changes:
            self.results: dict[str, Any] = {}
        super().calculate(atoms, properties, system_changes)
        if "stress" in properties and not self.atoms.pbc.all():
            raise PropertyNotImplementedError("stress of atoms without a cell; set cell and pbc")
        further = [name for name in properties if name not in _COMPUTED]
        output = self.model.evaluate(
            self.atoms,
            forces="forces" in properties,
            stress="stress" in properties,
            properties=further,
        )
        if output.failures:
            raise CalculationFailed(output.failures[0])
        self.results |= _results(output)


def ase_calculator(model: EnergyModel | str = "mace", device: str = "auto") -> EnergyCalculator:
    """Return an ASE calculator of any energy model.

    Args:
        model: the energy model or its name, as for :func:`molrl.load_energy`.
        device: device of a model that is loaded by name: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Returns:
        A new calculator; those of one name share the model.

    Raises:
        InputError: if there is no such model.

    Example:
        >>> from ase.build import molecule
        >>> from ase.optimize import BFGS
        >>> water = molecule("H2O")
        >>> water.calc = molrl.ase_calculator("mace")
        >>> bool(BFGS(water, logfile=None).run(fmax=0.02))
        True
    """
    return EnergyCalculator(load_energy(model, device))


def _results(output: EnergyOutput) -> dict[str, object]:
    """Return the results for one structure under ASE's names and in its shapes."""
    energy = float(output.energy[0])
    found: dict[str, object] = {"energy": energy, "free_energy": energy}
    if output.forces is not None:
        found["forces"] = output.forces.cpu().numpy()
    if output.stress is not None:
        found["stress"] = full_3x3_to_voigt_6_stress(output.stress[0].cpu().numpy())
    for name, values in output.properties.items():
        array: np.ndarray = values.cpu().numpy()
        value = array if is_of_atoms(name) else array[0]
        found[name] = value if np.ndim(value) else float(value)
    return found
