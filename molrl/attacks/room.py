"""The room that a clash guard leaves to atoms."""

from dataclasses import dataclass

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor

_PUSHES = 30
_OUTSIDE = 1e-3  # Å, by which atoms are further apart than they must be
_SHARE = 0.55  # of what two atoms lack, by which each moves; half would only just do


@dataclass(frozen=True)
class Room:
    """The distances that are allowed between the atoms of B padded molecules.

    Attributes:
        closest: ``(B, A, A)`` float64, Å, 0 on the diagonal and where one atom is padding.
        furthest: ``(B, A)`` float64, Å, from the first atom.

    Example:
        >>> room = Room.of(torch.tensor([[6, 1, 1]]), guard=0.65)
        >>> x, allowed = room.push(torch.zeros(1, 3, 3).double() + torch.eye(3) / 2)
        >>> allowed, bool((x[0, 1] - x[0, 2]).norm() > 0.4)
        (tensor([True]), True)
    """

    closest: Tensor
    furthest: Tensor

    @classmethod
    def of(cls, numbers: Tensor, guard: float, reach: float = torch.inf) -> "Room":
        """Return the room of molecules.

        Args:
            numbers: ``(B, A)`` int64, atomic numbers; 0 is padding.
            guard: smallest distance as a share of the sum of covalent radii.
            reach: largest distance from the first atom, as such a share.
        """
        radii = torch.from_numpy(covalent_radii)[numbers]
        both = radii[:, :, None] + radii[:, None]
        filled = numbers > 0
        pairs = filled[:, :, None] & filled[:, None]
        pairs &= ~torch.eye(numbers.shape[1], dtype=torch.bool)
        return cls((guard * both + _OUTSIDE) * pairs, reach * both[:, 0])

    def __getitem__(self, chosen: Tensor) -> "Room":
        """Return the room of some molecules, by their indices or a mask."""
        return Room(self.closest[chosen], self.furthest[chosen])

    def allows(self, x: Tensor) -> Tensor:
        """Return whether all atoms are behind the guard.

        Args:
            x: ``(B, A, 3)`` float64, Å.

        Returns:
            ``(B,)`` bool.
        """
        return self._lack(x).amax((1, 2)) <= _OUTSIDE

    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Push atoms apart that are too close, and those that leave the first back to it.

        Args:
            x: ``(B, A, 3)`` float64, Å.

        Returns:
            Positions ``(B, A, 3)`` float64, Å, the first atom at the origin; and ``(B,)`` bool,
            whether they are allowed.
        """
        for _ in range(_PUSHES):
            x = self._gather(x)
            lack = self._lack(x)
            if not lack.any():
                break
            away = torch.nn.functional.normalize(_gaps(x), dim=-1)
            x = x + _SHARE * (lack[..., None] * away).sum(2)
        x = self._gather(x)
        return x, self.allows(x)

    def _lack(self, x: Tensor) -> Tensor:
        """``(B, A, A)`` Å, by how much atoms are too close."""
        lack: Tensor = (self.closest - _gaps(x).norm(dim=-1)).clamp(min=0)
        return lack

    def _gather(self, x: Tensor) -> Tensor:
        """The atoms with the first at the origin and none out of reach of it."""
        x = x - x[:, :1]
        length = x.norm(dim=-1).clamp(min=1e-9)
        gathered: Tensor = x * (self.furthest / length).clamp(max=1)[..., None]
        return gathered


def _gaps(x: Tensor) -> Tensor:
    """``(B, A, A, 3)`` Å, from the second atom to the first."""
    return x[:, :, None] - x[:, None]


def is_behind_guard(numbers: np.ndarray, positions: np.ndarray, guard: float) -> bool:
    """Return whether no two atoms clash.

    Args:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Å.
        guard: smallest distance as a share of the sum of covalent radii.
    """
    radii = covalent_radii[numbers]
    first, second = np.triu_indices(len(numbers), 1)
    gaps = np.linalg.norm(positions[first] - positions[second], axis=-1)
    return bool((gaps >= guard * (radii[first] + radii[second])).all())
