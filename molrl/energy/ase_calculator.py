"""Any ASE calculator as an energy model (Larsen et al., J. Phys.: Condens. Matter 29, 273002)."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import chemical_symbols
from ase.outputs import all_outputs
from torch import Tensor

from molrl.energy.interface import EnergyModel, EnergyOutput, Wanted
from molrl.energy.isolated import ground_state_atoms
from molrl.molecules import MoleculeBatch

Results = dict[str, np.ndarray]


class ASEEnergy(EnergyModel):
    """Energies of molecules and crystals one by one, from an ASE calculator.

    Charge and multiplicity reach the calculator in both ways that calculators read them: in
    ``atoms.info["charge"]`` and ``atoms.info["spin"]``, and as the sums of the initial charges and
    of the initial magnetic moments. What the calculator raises for a molecule is the reason of its
    failure.

    Args:
        calculator: the calculator; it is called for the energy, and for forces and properties where
            they are asked for.
        elements: the atomic numbers it knows; all if None, and those whose isolated atom has no
            energy are found out where they are needed.
    """

    takes_cells = True

    def __init__(self, calculator: BaseCalculator, elements: Iterable[int] | None = None) -> None:
        self.name = type(calculator).__name__
        self.calculator = calculator
        every = range(1, len(chemical_symbols))
        self.elements = tuple(every if elements is None else sorted(set(elements)))
        further = [name for name in calculator.implemented_properties if _is_of_molecules(name)]
        stress = ["stress"] if "stress" in calculator.implemented_properties else []
        self.implemented_properties = ("energy", "forces", *stress, *further)
        self._atoms = _AtomEnergies(self)

    @property
    def hash(self) -> str:
        """Names the calculator's class and parameters; what else it holds cannot be seen."""
        kind = type(self.calculator)
        parameters = sorted(getattr(self.calculator, "parameters", {}).items())
        text = f"{kind.__module__}.{kind.__qualname__} {parameters!r}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def atom_energies(self) -> Mapping[int, float]:
        """The energy of one isolated atom of each element in its ground state, eV; NaN for none.

        Each is computed when it is looked up.
        """
        return self._atoms

    def atom_faults(self) -> Counter[str]:
        """None: an atom without an energy is one that the calculator does not know."""
        return Counter()

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        further = ["forces"] * wanted.forces + ["stress"] * wanted.stress
        names = ["energy", *further, *wanted.properties]
        results, failures = [], {}
        for i, atoms in enumerate(_images(molecules)):
            try:
                results.append(self._results(atoms, names))
            except Exception as error:  # each calculator raises its own kinds
                failures[i] = " ".join(f"{self.name}: {type(error).__name__}: {error}".split())
                results.append({name: _filled(name, len(atoms), np.nan) for name in names})
        found = {name: _joined(name, [r[name] for r in results]) for name in names}
        found = {name: tensor.to(molecules.device) for name, tensor in found.items()}
        return EnergyOutput(
            energy=found["energy"],
            forces=found.get("forces"),
            stress=_from_voigt(found["stress"]) if wanted.stress else None,
            properties={name: found[name] for name in wanted.properties},
            failures=failures,
        )

    def _results(self, atoms: Atoms, names: Sequence[str]) -> Results:
        if not len(atoms):
            return {name: _filled(name, 0, 0.0) for name in names}
        without = ["stress"] if "stress" in names and not atoms.pbc.all() else []
        # The energy last: it comes with all else, from one calculation.
        asked = [name for name in reversed(names) if name not in without]
        found = {name: self.calculator.get_property(name, atoms) for name in asked}
        found |= {name: _filled(name, len(atoms), np.nan) for name in without}
        return {name: np.asarray(value, np.float64) for name, value in found.items()}


class _AtomEnergies(Mapping[int, float]):
    """Energies of isolated atoms, each computed once, when it is looked up."""

    def __init__(self, model: ASEEnergy) -> None:
        self._model = model
        self._known: dict[int, float] = {}

    def __getitem__(self, number: int) -> float:
        if number not in self._model.elements:
            raise KeyError(number)
        if number not in self._known:
            output = self._model.evaluate(ground_state_atoms([number]))
            self._known[number] = float(output.energy[0])
        return self._known[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._model.elements)

    def __len__(self) -> int:
        return len(self._model.elements)


def _is_of_molecules(name: str) -> bool:
    """Whether a property is an array of numbers that needs no cell, and no part of the contract."""
    if name in ("energy", "forces", "stress", "stresses") or name not in all_outputs:
        return False
    output = all_outputs[name]
    return output.dtype is float and all(n == "natoms" or type(n) is int for n in output.shapespec)


def _images(molecules: MoleculeBatch) -> Iterator[Atoms]:
    """ASE atoms that carry charge and multiplicity as calculators read them."""
    states = zip(molecules.charge.tolist(), molecules.spin.tolist(), strict=True)
    for atoms, (charge, spin) in zip(molecules.to_ase(), states, strict=True):
        atoms.info |= {"charge": charge, "spin": spin}
        if len(atoms) and charge:
            atoms.set_initial_charges(np.full(len(atoms), charge / len(atoms)))
        if len(atoms) and spin > 1:
            atoms.set_initial_magnetic_moments(np.full(len(atoms), (spin - 1) / len(atoms)))
        yield atoms


def _filled(name: str, n_atoms: int, value: float) -> np.ndarray:
    shape = [n_atoms if n == "natoms" else n for n in all_outputs[name].shapespec]
    return np.full(shape, value)


def _joined(name: str, values: Sequence[np.ndarray]) -> Tensor:
    """One tensor of all molecules: atoms one after the other, else one row a molecule."""
    nothing = _filled(name, 0, 0.0)
    if "natoms" in all_outputs[name].shapespec:
        return torch.from_numpy(np.concatenate([nothing, *values]))
    return torch.from_numpy(np.reshape(values, (len(values), *nothing.shape)).astype(np.float64))


def _from_voigt(stress: Tensor) -> Tensor:
    """``(n, 3, 3)`` of the ``(n, 6)`` that ASE gives: xx, yy, zz, yz, xz, xy."""
    return stress[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
