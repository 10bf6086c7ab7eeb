"""Many molecules downhill in the energy of a model, none of them through the clash guard."""

from dataclasses import dataclass

import torch
from torch import Tensor

from molrl.attacks.room import Room
from molrl.energy.interface import EnergyModel
from molrl.molecules import MoleculeBatch

_FIRST_STEP, _LONGEST_STEP, _SHORTEST_STEP = 0.05, 0.15, 5e-4  # Å, of the atom that moves furthest


@dataclass(frozen=True)
class Descent:
    """Where molecules came to.

    Attributes:
        positions: ``(B, A, 3)`` float64, Å.
        energy: ``(B,)`` float64, eV; infinite where the start was not allowed or has no energy.
    """

    positions: Tensor
    energy: Tensor


def descend(model: EnergyModel, numbers: Tensor, x: Tensor, room: Room, steps: int) -> Descent:
    """Follow the forces of a model; atoms that come to the guard slide along it.

    A step that does not lower the energy is taken back, and the next is shorter. All molecules
    that still move share one energy call per step.

    Args:
        model: whose energy is followed.
        numbers: ``(B, A)`` int64, atomic numbers; 0 is padding. All are neutral.
        x: ``(B, A, 3)`` float64, Å, where they start.
        room: where the atoms may be.
        steps: energy calls after the first.
    """
    x = x.clone()
    energy, force = _evaluate(model, numbers, x, room.allows(x))
    step = torch.full_like(energy, _FIRST_STEP)
    for _ in range(steps):
        moving = torch.nonzero((step > _SHORTEST_STEP) & energy.isfinite()).flatten()
        if not len(moving):
            break
        longest = force[moving].norm(dim=-1).amax(-1).clamp(min=1e-9)
        trial = x[moving] + (step[moving] / longest)[:, None, None] * force[moving]
        trial, allowed = room[moving].push(trial)
        new_energy, new_force = _evaluate(model, numbers[moving], trial, allowed)
        lower = new_energy < energy[moving]
        down = moving[lower]
        x[down], energy[down], force[down] = trial[lower], new_energy[lower], new_force[lower]
        longer = (1.3 * step[moving]).clamp(max=_LONGEST_STEP)
        step[moving] = torch.where(lower, longer, 0.4 * step[moving])
    return Descent(x, energy)


def _evaluate(
    model: EnergyModel, numbers: Tensor, x: Tensor, allowed: Tensor
) -> tuple[Tensor, Tensor]:
    """Energies ``(B,)`` and forces ``(B, A, 3)``; infinite and 0 where not allowed."""
    energy = x.new_full((len(x),), torch.inf)
    force = torch.zeros_like(x)
    if allowed.any():
        molecules = MoleculeBatch.from_padded(numbers[allowed], x[allowed])
        output = model.evaluate(molecules, forces=True)
        assert output.forces is not None  # asked for
        energy[allowed] = output.energy.cpu().nan_to_num(torch.inf, torch.inf, -torch.inf)
        force[(numbers > 0) & allowed[:, None]] = output.forces.cpu().nan_to_num(0.0)
    return energy, force
