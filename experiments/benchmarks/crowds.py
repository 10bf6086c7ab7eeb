"""Crowds of atoms round one atom that a model overbinds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from reference_or_bound import gfn2_or_bound
from torch import Tensor

from molrl.energy import EnergyModel
from molrl.envs.config import Rules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

LIGANDS = tuple(range(4, 15))  # how many
KINDS = {"H": (1.0, 0.0), "F": (0.0, 1.0), "H and F": (0.5, 0.5)}  # shares of H and F
RANDOM = 20  # crowds drawn for each that is minimised
STEPS, FIRST_STEP, LONGEST_STEP = 50, 0.05, 0.15  # Å, of the atom that moves furthest
REACH = 1.4  # of the covalent radii's sum: no ligand may leave
PUSHES, MARGIN = 30, 1e-3  # of atoms that are too close; Å


@dataclass(frozen=True)
class Room:
    """The distances that are allowed between the atoms of crowds, the centre first.

    Attributes:
        closest: ``(B, A, A)`` Å, 0 on the diagonal.
        furthest: ``(B, A)`` Å, from the centre.
    """

    closest: Tensor
    furthest: Tensor

    @classmethod
    def of(cls, numbers: Tensor) -> "Room":
        """Return the room of crowds of atomic numbers ``(B, A)``."""
        radii = torch.from_numpy(covalent_radii)[numbers]
        both = radii[:, :, None] + radii[:, None]
        closest = Rules().clash_fraction * both + MARGIN
        apart = ~torch.eye(numbers.shape[1], dtype=torch.bool)
        return cls(closest * apart, REACH * both[:, 0])

    def lack(self, x: Tensor) -> Tensor:
        """Return ``(B, A, A)`` Å, by how much atoms are too close."""
        return (self.closest - gaps(x).norm(dim=-1)).clamp(min=0)

    def push(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Push atoms apart, the centre in place, and those that leave back to it.

        Returns:
            Positions ``(B, A, 3)``, and ``(B,)`` bool, whether they are allowed.
        """
        for _ in range(PUSHES):
            x = self.gather(x)
            lack = self.lack(x)
            if not lack.any():
                break
            away = torch.nn.functional.normalize(gaps(x), dim=-1)
            x = x + 0.55 * (lack[..., None] * away).sum(2)
        x = self.gather(x)
        return x, self.lack(x).amax((1, 2)) <= MARGIN

    def gather(self, x: Tensor) -> Tensor:
        """Return the atoms with the centre at the origin and none out of reach of it."""
        x = x - x[:, :1]
        length = x.norm(dim=-1).clamp(min=1e-9)
        return x * (self.furthest / length).clamp(max=1)[..., None]


def gaps(x: Tensor) -> Tensor:
    """Return ``(B, A, A, 3)`` Å, from the second atom to the first."""
    return x[:, :, None] - x[:, None]


def crowd_rows(model: EnergyModel, restarts: int, seed: int) -> list[dict[str, object]]:
    """Return a row for each central element: the lowest error of each kind of ligands.

    Args:
        model: the energy model that is attacked.
        restarts: crowds minimised for each central element, kind and number of ligands.
        seed: of the random crowds.
    """
    kind, crowds = search(model, restarts, seed)
    right = gfn2_or_bound(crowds)
    error = right.error(model.evaluate(crowds).energy.cpu().numpy())
    centre = crowds.numbers[crowds.starts].numpy()
    rows = []
    for number in np.unique(centre):
        row: dict[str, object] = {"centre": chemical_symbols[number]}
        for name in KINDS:
            of = error[(centre == number) & (kind == name)]
            row[f"lowest error, {name}"] = lowest(of)
        of = centre == number
        row["lowest error"] = lowest(error[of])
        row["more than 2 eV too low"] = int((error[of] < -2).sum())
        row["crowds"] = int(of.sum())
        row["lower bounds"] = int(right.bound[of].sum())
        row["no energy"] = int((~np.isfinite(error[of])).sum())
        rows.append(row)
    return rows


def lowest(error: np.ndarray) -> float | None:
    return float(np.nanmin(error)) if np.isfinite(error).any() else None


def search(model: EnergyModel, restarts: int, seed: int) -> tuple[np.ndarray, MoleculeBatch]:
    """Return kinds of ligands and crowds at low energies of a model, behind the guard."""
    rng = np.random.default_rng(seed)
    found, names = [], []
    with progress(len(LIGANDS), f"crowds, {model.name}") as bar:
        for done, n in enumerate(LIGANDS, start=1):
            kinds, numbers = drawn(model.elements, n, restarts, rng)
            x, energy = started(model, numbers, rng)
            x = descend(model, numbers, x)
            known = energy.isfinite()
            found.append(MoleculeBatch.from_padded(numbers[known], x[known]))
            names.append(np.array(kinds)[known.numpy()])
            bar.update(done)
    return np.concatenate(names), MoleculeBatch.cat(found)


def drawn(
    elements: Sequence[int], n: int, restarts: int, rng: np.random.Generator
) -> tuple[list[str], Tensor]:
    """Return the kinds and atomic numbers ``(B, 1 + n)`` of crowds."""
    kinds, numbers = [], []
    for centre in elements:
        for kind, shares in KINDS.items():
            for _ in range(restarts):
                ligands = rng.choice([1, atomic_numbers["F"]], n, p=shares)
                kinds.append(kind)
                numbers.append([centre, *ligands])
    return kinds, torch.tensor(numbers)


def started(model: EnergyModel, numbers: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return the random crowds of lowest energy, ``(B, A, 3)`` Å, and ``(B,)`` eV.

    The energy is infinite where none of the random crowds is allowed.
    """
    room = Room.of(numbers)
    best = torch.zeros(*numbers.shape, 3, dtype=torch.float64)
    least = torch.full((len(numbers),), torch.inf, dtype=torch.float64)
    inner = room.closest[:, 0]
    for _ in range(RANDOM):
        ways = torch.from_numpy(rng.normal(size=(*numbers.shape, 3)))
        share = torch.from_numpy(rng.uniform(size=numbers.shape)) ** 2
        length = inner + share * (room.furthest - inner)
        x = torch.nn.functional.normalize(ways, dim=-1) * length[..., None]
        x[:, 0] = 0
        x, allowed = room.push(x)
        energy = torch.full_like(least, torch.inf)
        crowds = MoleculeBatch.from_padded(numbers[allowed], x[allowed])
        energy[allowed] = model.evaluate(crowds).energy.cpu().nan_to_num(torch.inf)
        better = energy < least
        best[better], least[better] = x[better], energy[better]
    return best, least


def descend(model: EnergyModel, numbers: Tensor, x: Tensor) -> Tensor:
    """Follow the forces of a model behind the guard; no energy rises."""
    room = Room.of(numbers)
    energy, force = evaluate(model, numbers, x, room.lack(x).amax((1, 2)) <= MARGIN)
    step = torch.full_like(energy, FIRST_STEP)
    for _ in range(STEPS):
        longest = force.norm(dim=-1).amax(-1).clamp(min=1e-9)
        trial, allowed = room.push(x + (step / longest)[:, None, None] * force)
        new_energy, new_force = evaluate(model, numbers, trial, allowed)
        better = new_energy < energy
        x = torch.where(better[:, None, None], trial, x)
        force = torch.where(better[:, None, None], new_force, force)
        energy = torch.where(better, new_energy, energy)
        step = torch.where(better, (1.3 * step).clamp(max=LONGEST_STEP), 0.4 * step)
    return x


def evaluate(
    model: EnergyModel, numbers: Tensor, x: Tensor, allowed: Tensor
) -> tuple[Tensor, Tensor]:
    """Return energies ``(B,)`` and forces ``(B, A, 3)``; infinite and 0 where not allowed."""
    output = model.evaluate(MoleculeBatch.from_padded(numbers[allowed], x[allowed]), forces=True)
    assert output.forces is not None  # asked for
    energy = torch.full((len(x),), torch.inf, dtype=torch.float64)
    energy[allowed] = output.energy.cpu().nan_to_num(torch.inf)
    force = torch.zeros_like(x)
    force[allowed] = output.forces.cpu().view_as(x[allowed])
    return energy, force
