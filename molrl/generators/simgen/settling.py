"""The settling of assembled skeletons, without noise, to the nearest maximum of similarity."""

from dataclasses import replace

import torch

from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput, Wanted
from molrl.energy.relaxation import relax
from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.forces import Forces
from molrl.generators.simgen.skeletons import Skeletons
from molrl.molecules import MoleculeBatch

_SCALE = 40.0  # eV; makes the curvature along a bond that of a molecule, as relax expects
_TOLERANCE = 0.1  # eV/Å, of the largest force at the end


class SimilarityEnergy(EnergyModel):
    """The dissimilarity of skeletons in the place of an energy: minus the sum of log k, scaled.

    Divided by the sharpness it is, where that is large, half the squared distance of each atom from
    the nearest reference environment.

    Args:
        forces: whose descriptors and kernel are used.
        sharpness: of the kernel.

    Example:
        >>> SimilarityEnergy(forces, 400.0).evaluate(skeletons)  # doctest: +SKIP
    """

    name = hash = "similarity"
    elements = ()  # those of the descriptors, which were checked before the assembly

    def __init__(self, forces: Forces, sharpness: float) -> None:
        self._forces, self._sharpness = forces, sharpness

    def _checked(self, molecules: MoleculeBatch) -> MoleculeBatch:
        return molecules  # an assembly may end in a clash, which the hydrogens then tell

    def _evaluate(self, molecules: MoleculeBatch, wanted: Wanted) -> EnergyOutput:
        log_k, gradient = self._forces.similarity(molecules, self._sharpness)
        scale = _SCALE / self._sharpness
        energy = -scale * molecules.sum_atoms(log_k.double())
        return EnergyOutput(energy, scale * gradient.double() if wanted.forces else None)


def settle(skeletons: Skeletons, forces: Forces, config: SimgenConfig) -> Skeletons:
    """Return skeletons at the nearest maximum of the sum of log k; fixed atoms do not move.

    The steps of an assembly end with noise that is larger than they are; what is left of it in the
    lengths of bonds is most of the strain energy of the molecules.

    Args:
        skeletons: at the end of an assembly.
        forces: of the assembly.
        config: the settings.
    """
    if not config.settle_steps:
        return skeletons
    model = SimilarityEnergy(forces, config.settle_sharpness)
    found = relax(skeletons, model, _TOLERANCE, config.settle_steps, fixed=skeletons.fixed)
    dtype: torch.dtype = skeletons.positions.dtype
    return replace(skeletons, positions=found.molecules.positions.to(dtype))
