"""Molecules that a policy learns to build from examples."""

from collections.abc import Sequence

import numpy as np
import torch

from molrl.agents.algorithms.archive import Isomer, within_reach
from molrl.agents.imitation_config import SHIPPED
from molrl.chemistry.bonds import bonded_atoms
from molrl.chemistry.training_set import TrainingSet, read_training_set
from molrl.errors import InputError
from molrl.tasks import Task


def load_examples(names: Sequence[str], task: Task, elements: tuple[int, ...]) -> TrainingSet:
    """Load the molecules of the bags of a task; without a list of bags, those that fit.

    Args:
        names: :data:`molrl.agents.imitation_config.SHIPPED`, and files as for
            :func:`molrl.chemistry.training_set.read_training_set`.
        task: what the policy makes.
        elements: atomic numbers that its actions choose from.

    Raises:
        InputError: if a file is missing or broken.
    """
    data = read_training_set(tuple("" if name == SHIPPED else name for name in names))
    bags, instances = data.molecules.bags(), task.instances()
    if instances is None:
        here = [set(bag) <= set(elements) and bag.n_atoms <= task.max_atoms for bag in bags]
    else:
        formulas = {instance.bag.formula for instance in instances}
        here = [bag.formula in formulas for bag in bags]
    return data[torch.tensor(here, dtype=torch.bool)]


def check_bags_only(task: Task, algorithm: str) -> None:
    """Check that a task is of whole molecules from empty canvases, as examples are.

    Args:
        task: what the policy makes.
        algorithm: name of the algorithm that needs it.

    Raises:
        InputError: if the task has fixed atoms, points to fill or refills of the bag.
    """
    for example in task.examples:
        if len(example.fixed) or len(example.shape) or example.refills:
            raise InputError(
                f"{algorithm} trains on bags only, not on {task}: it learns from whole "
                "molecules; train with ppo, or with imitation without algorithm.molecules"
            )


def buildable(data: TrainingSet, lengths: tuple[float, float]) -> list[Isomer]:
    """Return the molecules whose bonds a policy can place; energies are NaN.

    Args:
        data: molecules.
        lengths: Å, of the shortest and the longest bond.
    """
    made = []
    bonds = bonded_atoms(data.molecules) if len(data) else []
    for (numbers, positions), pairs, smiles in zip(
        data.molecules.arrays(), bonds, data.identities, strict=True
    ):
        if len(pairs) and within_reach(positions, pairs, lengths):
            x = (positions - positions[0]).astype(np.float32)
            made.append(Isomer(numbers, x, pairs, smiles, float("nan")))
    return made
