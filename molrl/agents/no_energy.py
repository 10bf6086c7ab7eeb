"""An energy model that computes nothing, where only the rules of an environment matter."""

import torch

from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput, Wanted
from molrl.molecules import MoleculeBatch


class NoEnergy(EnergyModel):
    """Energy 0 for every molecule, so that a policy is sampled without an energy model.

    Rules about distances hold as ever; those about energies never end an episode, since every
    energy difference is 0.

    Example:
        >>> NoEnergy().name
        'none'
    """

    name = hash = "none"
    elements = tuple(range(1, 119))
    implemented_properties = ("energy",)
    takes_charge = True
    takes_cells = True

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        return EnergyOutput(torch.zeros(len(molecules), dtype=torch.float64))
