"""The gradient attack: placements that follow the model's own forces to where it is wrong.

A region of false energies that is too narrow for random placements to hit still attracts what goes
downhill, as an agent that is rewarded by the model does.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from molrl.energy.interface import EnergyModel
from molrl.fitting.data.adversarial import (
    AttackReport,
    PlacementSearch,
    half_built_molecules,
    random_placements,
)
from molrl.fitting.data.config import GUARD
from molrl.fitting.data.placements import FLOOR, interaction_energies
from molrl.molecules import MoleculeBatch
from molrl.structures.structure import Structure, to_batch

N_STARTS = 4
_TRIES = 25  # random placements for each descent
_STEPS = 40
_RADIUS, _MAX_RADIUS, _MIN_RADIUS = 0.1, 0.3, 0.003  # Å, of one step
_PUSHES = 8
_OUTSIDE = 1e-4  # Å, by which a pushed atom is further off than it must be


def gradient_attack(
    model: EnergyModel,
    reference: EnergyModel,
    n_molecules: int = 1000,
    n_starts: int = N_STARTS,
    seed: int = 0,
    guard: float = GUARD,
) -> AttackReport:
    """Let a placed atom follow the model downhill, on each of many half-built molecules.

    Args:
        model: what is attacked.
        reference: what is right.
        n_molecules: half-built molecules of the test split to build upon.
        n_starts: descents on each, half of them from the lowest in energy of many random
            placements, the others from any; the lowest end counts.
        seed: of all random choices.
        guard: the atom keeps further from any other than this share of the covalent radii's sum,
            as in the environment, and than 0.3 Å in any case.
    """
    molecules = half_built_molecules(n_molecules, seed, "test", model.elements)
    return gradient_search(model, molecules, n_starts, seed, guard).check(model, reference)


def gradient_search(
    model: EnergyModel, molecules: Sequence[Structure], n_starts: int, seed: int, guard: float
) -> PlacementSearch:
    """Search the ends of descents on each molecule; see :func:`gradient_attack`."""
    starts, tried = random_placements(molecules, _TRIES * n_starts, seed, guard)
    if not starts:
        return PlacementSearch([], [])
    found = interaction_energies(model, [structure for some in tried for structure in some])
    energies = np.split(found, np.cumsum([len(some) for some in tried])[:-1])
    chosen = [
        [some[i] for i in dict.fromkeys([*energy.argsort()[: n_starts // 2], *range(len(some))])]
        for some, energy in zip(tried, energies, strict=True)
    ]
    chosen = [some[:n_starts] for some in chosen]
    moved = iter(descend(model, [structure for some in chosen for structure in some], guard))
    return PlacementSearch.of(model, starts, [[next(moved) for _ in some] for some in chosen])


def descend(model: EnergyModel, structures: Sequence[Structure], guard: float) -> list[Structure]:
    """Move the last atom of each structure downhill, the others in place, all in one batch.

    Steps go along the force. One that does not lower the energy is taken back, and the next is
    shorter. An atom that would come too near to another is pushed back to where it may be, so
    that it slides along the guard.

    Args:
        model: whose energy is followed.
        structures: of two atoms or more, each beginning outside of the guard.
        guard: the smallest distance, as a share of the covalent radii's sum; 0.3 Å at least.

    Returns:
        The structures in the same order, none of higher energy than it had.
    """
    batch = to_batch(structures).to(model.device)
    last = batch.starts + batch.n_atoms - 1
    room = _Room.of(structures, guard, model.device)
    where = batch.positions[last]
    energy, force = _evaluate(model, batch, last)
    radius = torch.full_like(energy, _RADIUS)
    for _ in range(_STEPS):
        moving = torch.nonzero((radius > _MIN_RADIUS) & energy.isfinite()).flatten()
        if not len(moving):
            break
        heading = torch.nn.functional.normalize(force[moving], dim=-1)
        trial, allowed = room.push(moving, where[moving] + radius[moving, None] * heading)
        radius[moving[~allowed]] *= 0.4
        moving, trial = moving[allowed], trial[allowed]
        some = batch[moving]
        moved = some.positions.index_copy(0, some.starts + some.n_atoms - 1, trial)
        some = replace(some, positions=moved)
        new_energy, new_force = _evaluate(model, some, some.starts + some.n_atoms - 1)
        lower = new_energy < energy[moving]  # and so a number
        down, up = moving[lower], moving[~lower]
        where[down], energy[down], force[down] = trial[lower], new_energy[lower], new_force[lower]
        radius[down] = (1.3 * radius[down]).clamp(max=_MAX_RADIUS)
        radius[up] *= 0.4
    ends = where.cpu().numpy()
    return [
        s.at(np.concatenate([s.positions[:-1], end[None]]), s.kind)
        for s, end in zip(structures, ends, strict=True)
    ]


def _evaluate(model: EnergyModel, batch: MoleculeBatch, last: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate energies ``(n,)`` and the forces ``(n, 3)`` on the last atoms."""
    output = model.evaluate(batch, forces=True)
    assert output.forces is not None  # asked for
    return output.energy.to(batch.device), output.forces[last].to(batch.device)


class _Room:
    """The space in which the last atoms may be.

    Args:
        others: ``(n, m, 3)`` Å, the atoms in place, padded.
        closest: ``(n, m)`` Å, how near the last atom may come to each; 0 where padded.
    """

    def __init__(self, others: Tensor, closest: Tensor) -> None:
        self._others, self._closest = others, closest

    @classmethod
    def of(cls, structures: Sequence[Structure], guard: float, device: torch.device) -> "_Room":
        others = [torch.from_numpy(s.positions[:-1]) for s in structures]
        closest = [
            torch.from_numpy(
                np.maximum(
                    guard * (covalent_radii[s.numbers[:-1]] + covalent_radii[s.numbers[-1]]), FLOOR
                )
            )
            for s in structures
        ]
        return cls(
            pad_sequence(others, batch_first=True).to(device),
            pad_sequence(closest, batch_first=True).to(device),
        )

    def push(self, chosen: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
        """Push atoms off those that they are too near to.

        Args:
            chosen: ``(k,)`` which structures.
            where: ``(k, 3)`` Å, where their last atoms would be.

        Returns:
            ``(k, 3)`` where they may be, and ``(k,)`` bool, whether such a place was found.
        """
        others, closest = self._others[chosen], self._closest[chosen]
        rows = torch.arange(len(chosen), device=where.device)
        for _ in range(_PUSHES):
            lack = closest - (where[:, None] - others).norm(dim=-1)
            most, worst = lack.max(dim=1)
            other = others[rows, worst]
            away = torch.nn.functional.normalize(where - other, dim=-1)
            edge = other + away * (closest[rows, worst, None] + _OUTSIDE)
            where = torch.where(most[:, None] > 0, edge, where)
        lack = closest - (where[:, None] - others).norm(dim=-1)
        return where, lack.max(dim=1).values <= 0
