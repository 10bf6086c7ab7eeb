"""The best isomer that is known of a bag, by an energy model."""

from dataclasses import dataclass

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax

RELAXED = 16  # isomers of lowest energy; relaxing all of them would find the same best one


@dataclass(frozen=True)
class BestIsomer:
    """The lowest energies of the shipped isomers of a bag.

    Attributes:
        energy: eV, of the model, at its own minimum.
        reward: eV, the return of placing the atoms one by one: those of isolated atoms minus it.
        reference: eV, of GFN2-xTB, at its own minimum.
    """

    energy: float
    reward: float
    reference: float

    @classmethod
    def of(cls, model: EnergyModel, formula: str) -> "BestIsomer":
        """Return the best isomer by a model."""
        isomers = shipped_molecules().isomers(formula)
        lowest = model.evaluate(isomers.molecules).energy.cpu().argsort()[:RELAXED]
        molecules = isomers.molecules[lowest]
        energy = float(relax(molecules, model).energy.min())
        reward = float(model.isolated_energy(molecules[:1])[0]) - energy
        return cls(energy, reward, float(isomers.energy.min()))
