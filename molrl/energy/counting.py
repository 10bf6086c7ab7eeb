"""Counts of what one user of an energy model asked it, whoever else asks the same model."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ase import Atoms

from molrl.energy.interface import EnergyModel, EnergyOutput, Wanted
from molrl.molecules import MoleculeBatch


class CountedEnergy(EnergyModel):
    """An energy model that counts what is asked through it.

    A process holds one model of each name, which many environments and generators share; each
    counts through a wrapper of its own.

    Args:
        model: the model that answers.

    Attributes:
        model: the same.
        calls: how many times :meth:`evaluate` was called.
        evaluations: how many molecules were evaluated in all.
        faults: how often each thing went wrong on the way, failed energies among them.

    Example:
        >>> model = CountedEnergy(molrl.load_energy("mace"))  # doctest: +SKIP
        >>> model.evaluate(molecules).energy, model.evaluations  # doctest: +SKIP
    """

    def __init__(self, model: EnergyModel) -> None:
        self.model = model
        self.name, self.elements, self.device = model.name, model.elements, model.device
        self.offers_uncertainty = model.offers_uncertainty
        self.implemented_properties = model.implemented_properties
        self.takes_cells, self.conservative = model.takes_cells, model.conservative
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
        """The hash of the model."""
        return self.model.hash

    def atom_energies(self) -> Mapping[int, float]:
        """The energies of the model's isolated atoms, eV.

        They are computed once for all users, and so no evaluation of any; what went wrong on the
        way is among the faults of each that relies on them.
        """
        if not self._relies_on_atoms:
            self._relies_on_atoms = True
            self.faults += self.model.atom_faults()
        return self.model.atom_energies()

    def atom_faults(self) -> Counter[str]:
        """The faults on the way to the energies of the isolated atoms."""
        return self.model.atom_faults()

    def close(self) -> None:
        """Close the model, which others may use too."""
        self.model.close()
