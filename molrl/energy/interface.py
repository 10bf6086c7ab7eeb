"""The interface of every energy model, with every shape written down."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from molrl.errors import InputError, did_you_mean
from molrl.molecules import MoleculeBatch

_OUTPUTS = ("energy", "forces", "stress")  # which have fields of their own
NO_ENERGY = "molecule without an energy"  # among the faults


@dataclass(frozen=True)
class Wanted:
    """What is wanted of one evaluation besides the energy.

    Attributes:
        forces: on each atom.
        stress: of each cell.
        descriptors: features of each atom.
        uncertainty: of each atom and molecule, where the model offers it.
        properties: further ones, under ASE's names.
    """

    forces: bool = False
    stress: bool = False
    descriptors: bool = False
    uncertainty: bool = False
    properties: tuple[str, ...] = ()


@dataclass
class EnergyOutput:
    """What :meth:`EnergyModel.evaluate` returns. All tensors are detached.

    Attributes:
        energy: ``(n_molecules,)`` float64, eV, total energy of the model; NaN where it failed.
        forces: ``(n_atoms_total, 3)`` float64, eV/Å, or None where not asked.
        stress: ``(n_molecules, 3, 3)`` float64, eV/Å³, derivative of the energy with the strain
            over the volume; NaN for what has no cell of three dimensions; or None where not asked.
        descriptors: ``(n_atoms_total, n_features)`` invariant features of each atom, or None.
        uncertainty: ``(n_molecules,)`` float64, how unusual each molecule is to the model, or None
            where not asked or not to be had; for MACE on the scale of
            :meth:`molrl.energy.uncertainty.GaussianMixture.atom_uncertainty`.
        atom_uncertainty: ``(n_atoms_total,)`` float64, the same of each atom, or None.
        properties: name to tensor of each further property that was asked for, under ASE's names
            and in ASE's units ("dipole": ``(n_molecules, 3)`` float64, e Å): ``(n_molecules, ...)``
            or, of a property of atoms, ``(n_atoms_total, ...)``; NaN where it failed.
        failures: index of each molecule whose energy failed, with the reason.
        faults: how often each thing went wrong on the way to these energies, whether it was put
            right (a worker replaced, a batch halved) or is among the failures.
    """

    energy: Tensor
    forces: Tensor | None = None
    stress: Tensor | None = None
    descriptors: Tensor | None = None
    uncertainty: Tensor | None = None
    atom_uncertainty: Tensor | None = None
    properties: dict[str, Tensor] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)


class EnergyModel(ABC):
    """An energy of molecules, evaluated in one batch.

    A model is a function: it keeps no state that changes an answer. Molecules without atoms have
    energy 0. A molecule whose energy cannot be had (SCF not converged, not a finite number) gets
    NaN and a reason in ``failures``; the others are not touched by it.

    To add a model, define ``name``, ``elements``, ``hash`` and :meth:`_evaluate`.

    Attributes:
        implemented_properties: what :meth:`evaluate` gives, under ASE's names.
        takes_cells: whether it knows periodic cells; one that does not refuses them.
        conservative: whether its forces are the derivatives of its energy.
        name: what it is loaded by.
        elements: the atomic numbers it knows, ascending.
        device: where it computes.
        offers_uncertainty: whether :meth:`evaluate` can say how unsure it is.
    """

    implemented_properties: tuple[str, ...] = ("energy", "forces")
    takes_cells: bool = False
    conservative: bool = True
    name: str
    elements: tuple[int, ...]
    device: torch.device = torch.device("cpu")
    offers_uncertainty: bool = False

    def evaluate(
        self,
        molecules: MoleculeBatch | Atoms | Iterable[Atoms],
        *,
        forces: bool = False,
        stress: bool = False,
        descriptors: bool = False,
        uncertainty: bool = False,
        properties: Sequence[str] = (),
    ) -> EnergyOutput:
        """Evaluate the energies of all molecules in one batch, and what else is asked for.

        Args:
            molecules: a batch on any device, or ASE atoms.
            forces: also return forces.
            stress: also return the stress of each cell.
            descriptors: also return descriptors.
            uncertainty: also return uncertainties, where the model offers them.
            properties: what else to return, of ``implemented_properties``.

        Raises:
            InputError: if the molecules are something else, a coordinate is not finite, two atoms
                are in one place, one is periodic and the model takes no cells, or an element or a
                property is not known to the model.

        Example:
            >>> output = molrl.load_energy("mace").evaluate(ase.build.molecule("H2O"), forces=True)
            >>> output.energy.shape, output.forces.shape
            (torch.Size([1]), torch.Size([3, 3]))
        """
        self.check_properties(properties)
        if stress and "stress" not in self.implemented_properties:
            raise InputError(f"{self.name} has no stress")
        if not isinstance(molecules, MoleculeBatch):
            molecules = MoleculeBatch.from_ase(molecules)
        if not self.takes_cells:
            molecules.require_molecules(f"energy model {self.name!r}")
        molecules = self._checked(molecules)
        unsure = uncertainty and self.offers_uncertainty
        wanted = Wanted(forces, stress, descriptors or unsure, unsure, tuple(properties))
        output = self._evaluate(molecules, wanted)
        if not descriptors:
            output.descriptors = None
        for i in torch.nonzero(~torch.isfinite(output.energy)).flatten().tolist():
            output.energy[i] = float("nan")
            output.failures.setdefault(i, f"the energy of {self.name} is not a finite number")
        if output.failures:
            output.faults[NO_ENERGY] += len(output.failures)
        return output

    def _checked(self, molecules: MoleculeBatch) -> MoleculeBatch:
        """The molecules where :meth:`_evaluate` wants them, if it can work on them."""
        return molecules.check(self.elements)

    @abstractmethod
    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        """Do the work of :meth:`evaluate` on a checked batch, some molecules maybe empty."""

    def check_properties(self, properties: Sequence[str]) -> None:
        """Check that :meth:`evaluate` gives each of the properties.

        Raises:
            InputError: if it does not give one.
        """
        further = [p for p in self.implemented_properties if p not in _OUTPUTS]
        if isinstance(properties, str):
            raise InputError(f"properties are a list such as ['dipole'], not {properties!r}")
        for name in properties:
            if not further:
                raise InputError(
                    f"{self.name} has no property {name!r}; it has none but its energy"
                )
            if name not in further:
                raise InputError(
                    f"{self.name} has no property {name!r}; {did_you_mean(name, further)}"
                )

    @property
    @abstractmethod
    def hash(self) -> str:
        """A short hash that names the physics: equal if and only if the energies are."""

    def atom_energies(self) -> Mapping[int, float]:
        """The energy of one isolated atom of each known element, eV; computed once."""
        return self._atoms_and_faults[0]

    def atom_faults(self) -> Counter[str]:
        """How often each thing went wrong on the way to :meth:`atom_energies`."""
        return self._atoms_and_faults[1]

    @cached_property
    def _atoms_and_faults(self) -> tuple[Mapping[int, float], Counter[str]]:
        output = self._evaluate(self._isolated_atoms(), Wanted())
        return dict(zip(self.elements, output.energy.tolist(), strict=True)), output.faults

    def isolated_energy(self, molecules: MoleculeBatch) -> Tensor:
        """``(n_molecules,)`` float64, eV: the energies of the isolated atoms, summed.

        Args:
            molecules: of elements that the model knows.
        """
        known, numbers = self.atom_energies(), molecules.numbers
        present = numbers.unique().tolist()  # type: ignore[no-untyped-call]  # untyped in torch
        table = torch.zeros(max(present, default=0) + 1, dtype=torch.float64)
        for number in present:
            table[number] = known[number]
        return molecules.sum_atoms(table.to(numbers.device)[numbers])

    def _isolated_atoms(self) -> MoleculeBatch:
        """One atom of each known element, of the lowest spin, as molecules are by default."""
        return MoleculeBatch.from_arrays((np.array([z]), np.zeros((1, 3))) for z in self.elements)

    def close(self) -> None:  # noqa: B027 - most models hold nothing
        """Give back what the model holds (worker processes)."""
