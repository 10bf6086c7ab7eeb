"""Where an assembly begins, and its prior."""

from collections.abc import Sequence

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray

from molrl.bags import is_closed_shell
from molrl.errors import InputError
from molrl.generators.simgen.bond_orders import ELEMENTS
from molrl.generators.simgen.draws import Draws
from molrl.generators.simgen.priors import Prior
from molrl.generators.simgen.skeletons import Skeletons
from molrl.tasks.interface import Instance


def check_instance(instance: Instance) -> None:
    """Check that SiMGen can make the molecules of an instance.

    Args:
        instance: what to make.

    Raises:
        InputError: if it cannot.
    """
    if instance.refills:
        raise InputError("simgen makes one molecule, not a cluster of several; give another task")
    if instance.cell is not None:
        raise InputError("simgen makes molecules, not periodic structures; give another task")
    if instance.charge or (instance.spin or 1) > 1:
        raise InputError("simgen makes neutral closed-shell molecules; give another task")
    heavy = set(instance.finished_bag) - {1}
    for number in sorted(heavy - set(ELEMENTS)):
        known = ", ".join(chemical_symbols[z] for z in (1, *ELEMENTS))
        raise InputError(f"simgen knows {known}, not {chemical_symbols[number]}")
    if not set(instance.bag) - {1}:
        raise InputError(f"simgen needs a heavy atom to place; {instance.bag} has none")
    if not is_closed_shell(instance.finished_bag):
        raise InputError(
            f"simgen cannot give the atoms of {instance.finished_bag} their usual valences"
        )


def skeletons_at_start(
    instances: Sequence[Instance], free: Sequence[NDArray[np.int64]], prior: Prior, draws: Draws
) -> Skeletons:
    """Return the skeletons that an assembly begins with: fixed heavy atoms, then those to place.

    Args:
        instances: what to make.
        free: ``(n,)`` atomic numbers of the atoms to place of each, in their order.
        prior: where the atoms should be.
        draws: random numbers of the atoms to place.
    """
    n_free = [len(z) for z in free]
    parts = zip(
        instances,
        free,
        torch.split(draws.start, n_free),
        torch.split(draws.place, n_free),
        strict=True,
    )
    numbers, positions, fixed = [], [], []
    for i, (instance, z, normal, uniform) in enumerate(parts):
        heavy = instance.fixed.numbers > 1
        numbers += [torch.from_numpy(instance.fixed.numbers[heavy]), torch.from_numpy(z)]
        held = torch.from_numpy(instance.fixed.positions[heavy]).float()
        positions += [held, prior.start(i, normal, uniform)]
        fixed += [torch.ones(len(held), dtype=torch.bool), torch.zeros(len(z), dtype=torch.bool)]
    n_atoms = torch.tensor([len(f) + len(g) for f, g in zip(fixed[::2], fixed[1::2], strict=True)])
    return Skeletons(torch.cat(numbers), torch.cat(positions), n_atoms, fixed=torch.cat(fixed))
