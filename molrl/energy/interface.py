"""The interface of every energy model."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from copy import copy
from functools import cached_property
from typing import Self

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from torch import Tensor

from molrl.energy.each import evaluate_each
from molrl.energy.models import models_with_charge
from molrl.energy.output import EnergyOutput, Wanted
from molrl.errors import InputError, did_you_mean
from molrl.molecules import MoleculeBatch

_OUTPUTS = ("energy", "forces", "stress")  # properties that have a field in EnergyOutput
NO_ENERGY = "molecule without an energy"  # a key of EnergyOutput.faults


class EnergyModel(ABC):
    """An energy function of molecules, evaluated in batches.

    A model keeps no state that changes its results. Molecules without atoms have energy 0. A
    molecule whose energy fails (SCF not converged, not a finite number) gets NaN and a reason in
    ``failures``; the other molecules are not affected.

    To add a model, define ``name``, ``elements``, ``hash`` and :meth:`_evaluate`.

    Attributes:
        implemented_properties: what :meth:`evaluate` can compute, under ASE's names.
        takes_cells: whether it accepts periodic structures.
        takes_charge: whether it computes charged molecules and other spin states than the lowest.
            Other models refuse them.
        ignores_charge: whether a model that takes no charge computes such molecules as if they were
            neutral and of the lowest spin, instead; see :meth:`ignoring_charge`.
        size_limit: most atoms of a molecule; None: no limit.
        conservative: whether its forces are the negative gradient of its energy.
        name: the name that loads it.
        elements: the atomic numbers it knows, ascending.
        device: the device it computes on.
        offers_descriptors: whether :meth:`evaluate` can return descriptors.
        offers_uncertainty: whether :meth:`evaluate` can return uncertainties.

    Example:
        >>> class SpringEnergy(EnergyModel):
        ...     name = hash = "spring"
        ...     elements = (1, 6, 7, 8)
        ...     implemented_properties = ("energy",)
        ...
        ...     def _evaluate(self, molecules, wanted):
        ...         neighbors = molecules.neighbors(2.0)
        ...         springs = (molecules.distances(neighbors) - 1.0).double() ** 2
        ...         of_atoms = torch.zeros(len(molecules.numbers), dtype=torch.float64)
        ...         of_atoms = of_atoms.index_add(0, neighbors.pairs[0], springs)
        ...         return EnergyOutput(molecules.sum_atoms(of_atoms))
        >>> SpringEnergy().evaluate(Atoms("H2", [[0, 0, 0], [0, 0, 1.5]])).energy
        tensor([0.2500], dtype=torch.float64)
    """

    implemented_properties: tuple[str, ...] = ("energy", "forces")
    takes_cells: bool = False
    takes_charge: bool = False
    ignores_charge: bool = False
    size_limit: int | None = None
    conservative: bool = True
    name: str
    elements: tuple[int, ...]
    device: torch.device = torch.device("cpu")
    offers_descriptors: bool = False
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
        """Compute the energies of all molecules in one batch, and what else is requested.

        A model of your own that raises an exception is asked anew for each molecule alone, so that
        those for which it raises fail, with the exception as the reason, and the others do not.

        Args:
            molecules: a batch on any device, or ASE atoms.
            forces: also compute forces.
            stress: also compute the stress of each cell.
            descriptors: also compute descriptors, where the model offers them.
            uncertainty: also compute uncertainties, where the model offers them.
            properties: further properties to compute, of ``implemented_properties``.

        Returns:
            Energies and the requested quantities, on the device of the model or of the batch.

        Raises:
            InputError: if the input is not molecules, a coordinate is not finite, two atoms are in
                one place, a structure is periodic and the model takes no cells, a molecule is
                charged or not of the lowest spin and the model takes no charge, a molecule has
                more atoms than the model takes, or it does not know an element or a property; or
                if the energies or forces of a model of your own are no tensors of these shapes.

        Example:
            >>> import molrl
            >>> from ase.build import molecule
            >>> output = molrl.load_energy("mace").evaluate(molecule("H2O"), forces=True)
            >>> output.energy.shape, output.forces.shape
            (torch.Size([1]), torch.Size([3, 3]))
        """
        self.check_properties(properties)
        for name, asked in (("forces", forces), ("stress", stress)):
            if asked and name not in self.implemented_properties:
                known = ", ".join(self.implemented_properties)
                raise InputError(f"{self.name} does not compute {name}; it computes: {known}")
        if not isinstance(molecules, MoleculeBatch):
            molecules = MoleculeBatch.from_ase(molecules)
        scored = uncertainty and self.offers_uncertainty
        # Uncertainties are computed from the descriptors.
        wanted = Wanted(forces, stress, descriptors or scored, scored, tuple(properties))
        # Forces are gradients, for which the inference mode of a caller has to be left.
        inside = torch.is_inference_mode_enabled()
        with torch.inference_mode(False) if inside else nullcontext():
            molecules = self._checked(molecules)
            output = self._evaluate_whatever_fails(molecules, wanted)
        if not descriptors:
            output.descriptors = None
        for i in torch.nonzero(~torch.isfinite(output.energy)).flatten().tolist():
            output.energy[i] = float("nan")
            output.failures.setdefault(i, f"the energy of {self.name} is not a finite number")
        if output.failures:
            output.faults[NO_ENERGY] += len(output.failures)
        return output

    def _evaluate_whatever_fails(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        """Evaluate a batch; where a model from outside of molrl raises, molecule by molecule."""

        def evaluate(some: MoleculeBatch) -> EnergyOutput:
            output = self._evaluate(some, wanted)
            self._check_output(output, some, wanted)
            return output

        try:
            return evaluate(molecules)
        except InputError:
            raise
        except Exception:
            if type(self).__module__.startswith("molrl.") or not len(molecules):
                raise  # these report what fails; anything else is a bug
        return evaluate_each(self.name, evaluate, molecules, wanted)

    def _check_output(self, output: EnergyOutput, molecules: MoleculeBatch, wanted: Wanted) -> None:
        if not isinstance(output, EnergyOutput):
            raise InputError(
                f"the energy model {self.name} returned {type(output).__name__}; it must return an "
                "EnergyOutput"
            )
        missing = set(wanted.properties) - set(output.properties)
        missing |= {"forces"} if wanted.forces and output.forces is None else set()
        if missing:
            raise InputError(
                f"the energy model {self.name} returned no {min(missing)}; it must compute what is "
                "in its implemented_properties"
            )
        n_molecules, n_atoms = len(molecules), len(molecules.numbers)
        for name, right in (("energy", (n_molecules,)), ("forces", (n_atoms, 3))):
            value: object = getattr(output, name)
            if value is not None and not isinstance(value, Tensor):
                raise InputError(
                    f"the energy model {self.name} returned {name} as {type(value).__name__}; it "
                    "must be a tensor"
                )
            if value is not None and value.shape != right:
                raise InputError(
                    f"the energy model {self.name} returned {name} of the shape "
                    f"{tuple(value.shape)}; of these molecules it is {right}"
                )

    def _checked(self, molecules: MoleculeBatch) -> MoleculeBatch:
        """Return the molecules as :meth:`_evaluate` takes them, if the model can evaluate them."""
        self.check_molecules(molecules)
        return molecules.check(self.elements)

    def check_sizes(self, molecules: MoleculeBatch) -> None:
        """Check that no molecule has more atoms than the model takes.

        Raises:
            InputError: if one has; the message names models without a limit.
        """
        if self.size_limit is None:
            return
        for i in torch.nonzero(molecules.n_atoms > self.size_limit).flatten().tolist()[:1]:
            raise InputError(
                f"molecule {i} has {int(molecules.n_atoms[i])} atoms; energy model {self.name!r} "
                f"takes up to {self.size_limit}; use a network such as mace, which has no limit"
            )

    def check_molecules(self, molecules: MoleculeBatch) -> None:
        """Check that the model takes cells, sizes, charges and multiplicities of molecules.

        Args:
            molecules: whose elements and coordinates are not looked at.

        Raises:
            InputError: if it does not; the message names the first such molecule by its index.
        """
        if not self.takes_cells:
            molecules.require_molecules(f"energy model {self.name!r}")
        self.check_sizes(molecules)
        if self.takes_charge or self.ignores_charge:
            return
        charge, spin = molecules.charge, molecules.spin
        lowest = (molecules.sum_atoms(molecules.numbers) - charge) % 2 + 1
        for i in torch.nonzero((charge != 0) | (spin != lowest)).flatten().tolist()[:1]:
            self.check_charge(f"molecule {i} has", int(charge[i]), int(spin[i]))

    def check_charge(self, subject: str, charge: int, spin: int | None) -> None:
        """Check that :meth:`evaluate` computes molecules of a charge and multiplicity.

        Args:
            subject: what has them, for the message ("molecule 3 has").
            charge: total charge, e.
            spin: multiplicity 2S + 1; None for the lowest.

        Raises:
            InputError: if it is not neutral and of the lowest spin, and the model takes no charge;
                the message names models that do.
        """
        if self.takes_charge or self.ignores_charge or not (charge or spin):
            return
        *names, last = models_with_charge()
        state = f"charge {charge}" if charge else f"multiplicity {spin}"
        raise InputError(
            f"energy model {self.name!r} knows neutral molecules of the lowest spin only: "
            f"{subject} {state}; use {', '.join(names)} or {last}"
        )

    def check_elements(self, elements: Iterable[int]) -> None:
        """Check that the model knows elements.

        Args:
            elements: atomic numbers.

        Raises:
            InputError: if it does not know one.
        """
        unknown = sorted(set(elements) - set(self.elements))
        if unknown:
            named = ", ".join(chemical_symbols[number] for number in unknown)
            raise InputError(
                f"energy model {self.name!r} does not know {named}; gfn2 knows most elements"
            )

    @abstractmethod
    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        """Evaluate a checked batch.

        Args:
            molecules: of known elements; some may have no atoms.
            wanted: what to compute besides the energy.

        Returns:
            ``energy`` and what is wanted, detached; an energy that is not finite is reported as a
            failure by :meth:`evaluate`.
        """

    def check_properties(self, properties: Sequence[str]) -> None:
        """Check that :meth:`evaluate` can compute some properties.

        Args:
            properties: ASE's names, except energy, forces and stress.

        Raises:
            InputError: if one is unknown to the model.
        """
        further = [p for p in self.implemented_properties if p not in _OUTPUTS]
        if isinstance(properties, str):
            raise InputError(f"properties must be a list such as ['dipole'], not {properties!r}")
        for name in properties:
            if not further:
                raise InputError(
                    f"{self.name} has no property {name!r}; it computes no further properties"
                )
            if name not in further:
                raise InputError(
                    f"{self.name} has no property {name!r}; {did_you_mean(name, further)}"
                )

    @property
    @abstractmethod
    def hash(self) -> str:
        """A short hash of the method and its parameters: equal if and only if the energies are."""

    def atom_energies(self) -> Mapping[int, float]:
        """Return the energy of one isolated atom of each known element, eV; computed once."""
        return self._atoms_and_faults[0]

    def atom_faults(self) -> Counter[str]:
        """Return how often each kind of fault occurred while computing :meth:`atom_energies`."""
        return self._atoms_and_faults[1]

    @cached_property
    def _atoms_and_faults(self) -> tuple[Mapping[int, float], Counter[str]]:
        output = self._evaluate_whatever_fails(self._isolated_atoms(), Wanted())
        return dict(zip(self.elements, output.energy.tolist(), strict=True)), output.faults

    def isolated_energy(self, molecules: MoleculeBatch) -> Tensor:
        """Sum the energies of the isolated atoms of each molecule.

        Args:
            molecules: of elements that the model knows.

        Returns:
            ``(n_molecules,)`` float64, eV.
        """
        known, numbers = self.atom_energies(), molecules.numbers
        present = numbers.unique().tolist()  # type: ignore[no-untyped-call]  # untyped in torch
        table = torch.zeros(max(present, default=0) + 1, dtype=torch.float64)
        for number in present:
            table[number] = known[number]
        return molecules.sum_atoms(table.to(numbers.device)[numbers])

    def _isolated_atoms(self) -> MoleculeBatch:
        """Return one atom of each known element, of the lowest spin."""
        return MoleculeBatch.from_arrays((np.array([z]), np.zeros((1, 3))) for z in self.elements)

    def ignoring_charge(self) -> Self:
        """Return a model of the same weights that computes every molecule as a neutral one.

        Charge and multiplicity are left unread. A model that takes the charge returns itself.

        Example:
            >>> model = molrl.load_energy("mace").ignoring_charge()
            >>> model.ignores_charge
            True
        """
        if self.takes_charge:
            return self
        model = copy(self)
        model.ignores_charge = True
        return model

    def close(self) -> None:  # noqa: B027 - a no-op for models without resources
        """Release the resources of the model, such as worker processes."""
