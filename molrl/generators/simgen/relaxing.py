"""The final relaxation, in which all atoms move that are not fixed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from molrl.batches import per_atom
from molrl.energy.interface import EnergyModel, EnergyOutput, Wanted
from molrl.energy.relaxation import RelaxationResult, relax
from molrl.generators.simgen.config import SimgenConfig
from molrl.molecules import MoleculeBatch


@dataclass(frozen=True)
class HeldMolecules(MoleculeBatch):
    """Molecules some of whose atoms are held where they are.

    Attributes:
        held: ``(n_atoms_total,)`` bool.

    Example:
        >>> HeldMolecules(torch.tensor([6]), torch.zeros(1, 3), torch.tensor([1])).held
        tensor([False])
    """

    held: Tensor = per_atom((), lambda batch: torch.zeros_like(batch.numbers, dtype=torch.bool))


class HeldEnergy(EnergyModel):
    """An energy model without forces on the atoms that :class:`HeldMolecules` hold.

    Args:
        model: the model that is evaluated.

    Example:
        >>> HeldEnergy(molrl.load_energy("mace")).evaluate(held, forces=True)  # doctest: +SKIP
    """

    def __init__(self, model: EnergyModel) -> None:
        self._model = model
        self.name, self.elements, self.device = model.name, model.elements, model.device
        self.conservative, self.takes_charge = model.conservative, model.takes_charge

    @property
    def hash(self) -> str:
        """Hash of the model."""
        return self._model.hash

    def _checked(self, molecules: MoleculeBatch) -> MoleculeBatch:
        return molecules  # the model checks them

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        output = self._model.evaluate(molecules, forces=wanted.forces)
        if output.forces is not None and isinstance(molecules, HeldMolecules):
            held = molecules.held.to(output.forces.device)
            output.forces = output.forces.masked_fill(held[:, None], 0.0)
        return output


def relax_free(
    molecules: HeldMolecules, model: EnergyModel, config: SimgenConfig
) -> RelaxationResult:
    """Relax molecules, except their atoms that are held.

    Args:
        molecules: with their hydrogens.
        model: the energy model.
        config: the settings.
    """
    return relax(molecules, HeldEnergy(model), config.relax_force, config.relax_steps)
