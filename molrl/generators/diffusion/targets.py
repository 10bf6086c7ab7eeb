"""Tasks as clouds: what is known of the molecules that a sampler is to make."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor

from molrl.errors import InputError
from molrl.generators.diffusion.cloud import FEATURE_SCALE, Cloud
from molrl.molecules import MoleculeBatch
from molrl.tasks import Task
from molrl.tasks.interface import Instance


@dataclass(frozen=True)
class Target:
    """What is known of molecules, and how they are put back into the frame of their task.

    Attributes:
        cloud: elements and fixed atoms, centred at the fixed atoms or the shape.
        origin: ``(n_molecules, 3)`` Å, what is added to positions at the end.
        shape: ``(n_molecules, n_points, 3)`` Å, the points to fill; None without any.

    Example:
        >>> target = Target.of_instances([Instance(Bag("H2O"))], (1, 8))  # doctest: +SKIP
    """

    cloud: Cloud
    origin: Tensor
    shape: Tensor | None = None

    @classmethod
    def of_instances(cls, instances: Sequence[Instance], elements: Sequence[int]) -> Self:
        """Return the target of instances of one task.

        Args:
            instances: of bags of these elements.
            elements: atomic numbers of the features.
        """
        fixed = [len(each.fixed) for each in instances]
        batch = MoleculeBatch.from_arrays(
            (
                np.array([*each.fixed.numbers, *each.bag.numbers]),
                np.concatenate([each.fixed.positions, np.zeros((each.bag.n_atoms, 3))]),
            )
            for each in instances
        ).to(dtype=torch.float32)
        padded = batch.to_padded()
        mask = padded["numbers"] > 0
        placed = torch.arange(mask.shape[1]) < torch.tensor(fixed)[:, None]
        hot = padded["numbers"][..., None] == torch.tensor(elements)
        cloud = Cloud(padded["positions"], FEATURE_SCALE * hot.float(), mask, placed, mask)
        origin = _middle(cloud.positions, placed)
        shape = None
        if len(instances[0].shape):
            shape = torch.from_numpy(np.stack([each.shape for each in instances])).float()
            origin = shape.mean(1) if not bool(placed.any()) else origin
            shape = shape - origin[:, None]
        centred = (cloud.positions - origin[:, None]) * placed[..., None]
        return cls(cloud.at(centred), origin, shape)

    @classmethod
    def of_sizes(cls, sizes: Sequence[int], n_elements: int) -> Self:
        """Return the target of molecules of which only the number of atoms is known."""
        mask = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
        nothing = torch.zeros_like(mask)
        positions = torch.zeros(*mask.shape, 3)
        features = torch.zeros(*mask.shape, n_elements)
        return cls(Cloud(positions, features, mask, nothing, nothing), torch.zeros(len(sizes), 3))

    def finished(self, made: Cloud) -> Cloud:
        """Return samples in the frame of the task, fixed atoms where they are, as float32."""
        moved = made.positions + self.origin.to(made.positions)[:, None]
        return made.at(moved * made.mask.unsqueeze(-1))


def check_task(task: Task, elements: Sequence[int], name: str) -> None:
    """Check that a denoiser can make a task.

    Args:
        task: what to make.
        elements: atomic numbers that it knows.
        name: of the denoiser.

    Raises:
        InputError: if it cannot; the line says why.
    """
    for instance in task.examples:
        unknown = (set(instance.finished_bag) | task.elements) - set(elements)
        if unknown:
            symbols, known = (
                ", ".join(chemical_symbols[z] for z in sorted(numbers))
                for numbers in (unknown, elements)
            )
            raise InputError(f"{name} was not trained on {symbols}; it knows {known}")
        reasons = (
            (instance.refills, "refills of the bag"),
            (instance.cell is not None, "a periodic cell"),
            (instance.charge, "a charge"),
            (instance.spin not in (None, 1), "unpaired electrons"),
        )
        for present, what in reasons:
            if present:
                raise InputError(
                    f"{name} makes neutral molecules, all atoms at once; {task.kind} has {what}"
                )


def _middle(positions: Tensor, placed: Tensor) -> Tensor:
    """Return ``(n_molecules, 3)``, the centre of the placed atoms; 0 where there are none."""
    weight = placed[..., None].to(positions.dtype)
    middle: Tensor = (positions * weight).sum(1) / weight.sum(1).clamp(min=1)
    return middle
