"""Lower bounds of the energies of molecules whose SCF does not converge."""

from collections.abc import Sequence

import torch
from torch import Tensor

from molrl.energy.counting import CountedEnergy
from molrl.energy.gfn2 import GFN2Energy
from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput
from molrl.molecules import MoleculeBatch

HOTTER = (1500.0, 5000.0)  # K, tried in turn


def evaluate_or_bound(
    model: EnergyModel,
    molecules: MoleculeBatch,
    *,
    forces: bool = False,
    properties: Sequence[str] = (),
) -> tuple[EnergyOutput, Tensor]:
    """Evaluate molecules, and find a lower bound of the energy where GFN2-xTB gives none.

    This is the one rule for SCFs that do not converge, in fits and benchmarks:

    1. The energy is that of GFN2-xTB with electrons at 300 K, where the SCF converges.
    2. Where it does not, as for many bonds pulled apart and crowded atoms, it is tried with
       electrons at 1500 K, then at 5000 K. What converges first is a lower bound: the energy is
       the free energy F of the electrons, and dF/dT = -S is never positive (Mermin, Phys. Rev.
       137, A1441, 1965). An energy below the bound is wrong; one above it may be right. There are
       neither forces nor further properties.
    3. Where no SCF converges, there is no energy.

    The bound is loose: two atoms more than 4 Å apart have 0.6 to 3.6 eV more energy than it. It
    supposes that the SCF finds the same state at both temperatures, if a molecule has several.
    Other models than GFN2-xTB are evaluated once.

    Args:
        model: the energy model, which may be counted; the second and third tries are not.
        molecules: the batch.
        forces: also compute forces.
        properties: further properties to compute, of ``model.implemented_properties``.

    Returns:
        The output of :meth:`EnergyModel.evaluate`, with bounds among its energies, NaN among the
        forces and properties for them, and only the molecules without either as failures; and
        ``(n_molecules,)`` bool on the device of the energies, which of them are bounds.

    Raises:
        InputError: as :meth:`EnergyModel.evaluate`.

    Example:
        >>> from ase import Atoms
        >>> from molrl import load_energy
        >>> apart = MoleculeBatch.from_ase(Atoms("CH", [[0, 0, 0], [0, 0, 3.5]]))
        >>> output, bound = evaluate_or_bound(load_energy("gfn2"), apart)
        >>> bool(bound[0]), round(float(output.energy[0]), 1)
        (True, -60.2)
    """
    output = model.evaluate(molecules, forces=forces, properties=properties)
    bound = torch.zeros(len(molecules), dtype=torch.bool, device=output.energy.device)
    method = model.model if isinstance(model, CountedEnergy) else model
    if not isinstance(method, GFN2Energy):
        return output, bound
    for temperature in HOTTER:
        failed = sorted(output.failures)
        if not failed:
            break
        hotter = method.at(temperature).evaluate(molecules[failed])
        for i, energy in zip(failed, hotter.energy, strict=True):
            if energy.isfinite():
                output.energy[i], bound[i] = energy, True
                del output.failures[i]
    return output, bound
