"""A wrapper that counts the evaluations of one user of a shared energy model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from ase import Atoms

from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput, Wanted
from molrl.molecules import MoleculeBatch


class CountedEnergy(EnergyModel):
    """An energy model that counts the evaluations made through it.

    A process holds one model of each name, which environments and generators share; each of them
    counts through its own wrapper.

    Args:
        model: the model that is evaluated.

    Attributes:
        model: the same.
        calls: how many times :meth:`evaluate` was called.
        evaluations: how many molecules were evaluated in total.
        faults: how often each kind of fault occurred, failed energies included.

    Example:
        >>> from ase.build import molecule
        >>> from molrl import load_energy
        >>> model = CountedEnergy(load_energy("mace"))
        >>> output = model.evaluate([molecule("H2O"), molecule("CH4")])
        >>> model.calls, model.evaluations
        (1, 2)
    """

    def __init__(self, model: EnergyModel) -> None:
        self.model = model
        self.name, self.elements, self.device = model.name, model.elements, model.device
        self.offers_descriptors = model.offers_descriptors
        self.offers_uncertainty = model.offers_uncertainty
        self.implemented_properties = model.implemented_properties
        self.takes_cells, self.conservative = model.takes_cells, model.conservative
        self.takes_charge, self.ignores_charge = model.takes_charge, model.ignores_charge
        self.size_limit = model.size_limit
        self.calls = 0
        self.evaluations = 0
        self.faults: Counter[str] = Counter()
        self._relies_on_atoms = False

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
        """Evaluate the model and count; see :meth:`EnergyModel.evaluate`."""
        output = self.model.evaluate(
            molecules,
            forces=forces,
            stress=stress,
            descriptors=descriptors,
            uncertainty=uncertainty,
            properties=properties,
        )
        self.calls += 1
        self.evaluations += len(output.energy)
        self.faults += output.faults
        return output

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        return self.model._evaluate(molecules, wanted)

    @property
    def hash(self) -> str:
        """The hash of the wrapped model."""
        return self.model.hash

    def atom_energies(self) -> Mapping[int, float]:
        """Return the energies of the model's isolated atoms, eV.

        They are computed once for all users, so they count as an evaluation of none; faults of that
        computation are counted for each user that calls this method.
        """
        if not self._relies_on_atoms:
            self._relies_on_atoms = True
            self.faults += self.model.atom_faults()
        return self.model.atom_energies()

    def atom_faults(self) -> Counter[str]:
        """Return how often each kind of fault occurred while computing the atoms' energies."""
        return self.model.atom_faults()

    def ignoring_charge(self) -> Self:
        """Return a wrapper, which counts from 0, of :meth:`EnergyModel.ignoring_charge`."""
        return type(self)(self.model.ignoring_charge())

    def close(self) -> None:
        """Close the wrapped model, which other wrappers may share."""
        self.model.close()
