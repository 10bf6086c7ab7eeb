"""Any ASE calculator as an energy model (Larsen et al., J. Phys.: Condens. Matter 29, 273002)."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from ase.data import chemical_symbols
from ase.outputs import all_outputs
from ase.stress import full_3x3_to_voigt_6_stress
from torch import Tensor

from molrl.chemistry.isolated import ground_state_atoms
from molrl.energy.each import described
from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput, Wanted
from molrl.energy.properties import filled, join
from molrl.molecules import MoleculeBatch

Results = dict[str, np.ndarray]


class ASEEnergy(EnergyModel):
    """An energy model that calls an ASE calculator for one molecule or crystal after another.

    Charge and multiplicity are passed in both ways that calculators read them: as
    ``atoms.info["charge"]`` and ``atoms.info["spin"]``, and as the sums of the initial charges and
    of the initial magnetic moments. An exception that the calculator raises for a molecule becomes
    the reason of its failure.

    Args:
        calculator: computes the energy, and forces, stress and properties where requested.
        elements: the atomic numbers it knows; all, if None. An element whose isolated atom has no
            energy is then found when its energy is needed.

    Example:
        >>> from ase.build import molecule
        >>> from ase.calculators.emt import EMT
        >>> ASEEnergy(EMT()).evaluate(molecule("N2"), forces=True).forces.shape
        torch.Size([2, 3])
    """

    takes_cells = True
    takes_charge = True  # it is passed on; not all calculators read it

    def __init__(self, calculator: BaseCalculator, elements: Iterable[int] | None = None) -> None:
        self.name = type(calculator).__name__
        self.calculator = calculator
        every = range(1, len(chemical_symbols))
        self.elements = tuple(every if elements is None else sorted(set(elements)))
        further = [name for name in calculator.implemented_properties if _is_further(name)]
        stress = ["stress"] if "stress" in calculator.implemented_properties else []
        self.implemented_properties = ("energy", "forces", *stress, *further)
        self._atoms = _AtomEnergies(self)

    @property
    def hash(self) -> str:
        """A hash of the calculator's class and parameters; other state is not included."""
        kind = type(self.calculator)
        parameters = sorted(getattr(self.calculator, "parameters", {}).items())
        text = f"{kind.__module__}.{kind.__qualname__} {parameters!r}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def atom_energies(self) -> Mapping[int, float]:
        """Return the energy of one isolated atom of each element in its ground state, eV.

        Each is computed when it is first looked up; NaN where the calculator fails.
        """
        return self._atoms

    def atom_faults(self) -> Counter[str]:
        """Return no faults: an atom without an energy is an element the calculator lacks."""
        return Counter()

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        further = ["forces"] * wanted.forces + ["stress"] * wanted.stress
        names = ["energy", *further, *wanted.properties]
        results, failures = [], {}
        for i, atoms in enumerate(_images(molecules)):
            try:
                results.append(self._results(atoms, names))
            except Exception as error:  # each calculator raises its own exception types
                failures[i] = described(self.name, error)
                results.append({name: filled(name, len(atoms), np.nan) for name in names})
        found = {name: join(name, [r[name] for r in results]) for name in names}
        found = {name: tensor.to(molecules.device) for name, tensor in found.items()}
        return EnergyOutput(
            energy=found["energy"],
            forces=found.get("forces"),
            stress=_from_voigt(found["stress"]) if wanted.stress else None,
            properties={name: found[name] for name in wanted.properties},
            failures=failures,
        )

    def _results(self, atoms: Atoms, names: Sequence[str]) -> Results:
        """Compute properties of one molecule as float64 arrays; NaN for stress without a cell."""
        if not len(atoms):
            return {name: filled(name, 0, np.nan if name == "stress" else 0.0) for name in names}
        without = ["stress"] if "stress" in names and not atoms.pbc.all() else []
        # The energy last: it comes with the others from one calculation, whereas requested first
        # it may start a calculation without forces, and they then a second one.
        requested = [name for name in reversed(names) if name not in without]
        found = {name: self.calculator.get_property(name, atoms) for name in requested}
        found |= {name: filled(name, len(atoms), np.nan) for name in without}
        results = {name: np.asarray(value, np.float64) for name, value in found.items()}
        if "stress" in names and results["stress"].shape == (3, 3):  # ASE takes both forms, too
            results["stress"] = full_3x3_to_voigt_6_stress(results["stress"])
        return results


class _AtomEnergies(Mapping[int, float]):
    """The energies of isolated atoms, each computed when it is first looked up."""

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


def _is_further(name: str) -> bool:
    """Return whether a property is a float array without a field in :class:`EnergyOutput`."""
    if name in ("energy", "forces", "stress", "stresses") or name not in all_outputs:
        return False
    output = all_outputs[name]
    return output.dtype is float and all(n == "natoms" or type(n) is int for n in output.shapespec)


def _images(molecules: MoleculeBatch) -> Iterator[Atoms]:
    """Yield ASE atoms that carry charge and multiplicity as calculators read them."""
    states = zip(molecules.charge.tolist(), molecules.spin.tolist(), strict=True)
    for atoms, (charge, spin) in zip(molecules.to_ase(), states, strict=True):
        atoms.info |= {"charge": charge, "spin": spin}
        if len(atoms) and charge:
            atoms.set_initial_charges(np.full(len(atoms), charge / len(atoms)))
        if len(atoms) and spin > 1:
            atoms.set_initial_magnetic_moments(np.full(len(atoms), (spin - 1) / len(atoms)))
        yield atoms


def _from_voigt(stress: Tensor) -> Tensor:
    """Return ``(n, 3, 3)`` from ASE's Voigt order ``(n, 6)``: xx, yy, zz, yz, xz, xy."""
    return stress[:, [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
