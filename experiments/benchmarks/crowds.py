"""Crowds of atoms round one atom that a model overbinds."""

from collections.abc import Sequence

import numpy as np
import torch
from ase.data import atomic_numbers, chemical_symbols
from reference_or_bound import gfn2_or_bound
from torch import Tensor

from molrl.attacks.descent import descend
from molrl.attacks.room import Room
from molrl.energy import EnergyModel
from molrl.envs.config import Rules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

LIGANDS = tuple(range(4, 15))  # how many
KINDS = {"H": (1.0, 0.0), "F": (0.0, 1.0), "H and F": (0.5, 0.5)}  # shares of H and F
RANDOM = 20  # crowds drawn for each that is minimised
STEPS = 50  # of a descent
REACH = 1.4  # of the covalent radii's sum: no ligand may leave


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
    allowed = certain(model, crowds)
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
        row["of these with the default rules"] = int((error[of & allowed] < -2).sum())
        row["lowest with the default rules"] = lowest(error[of & allowed])
        row["crowds"] = int(of.sum())
        row["lower bounds"] = int(right.bound[of].sum())
        row["no energy"] = int((~np.isfinite(error[of])).sum())
        rows.append(row)
    return rows


def certain(model: EnergyModel, molecules: MoleculeBatch) -> np.ndarray:
    """Return which canvases the default rules accept for their uncertainty, ``(n,)`` bool."""
    limit = Rules().resolved(model.offers_uncertainty).max_uncertainty
    if limit is None:
        return np.ones(len(molecules), bool)
    uncertainty = model.evaluate(molecules, uncertainty=True).uncertainty
    assert uncertainty is not None  # asked for
    allowed: np.ndarray = uncertainty.cpu().numpy() <= limit
    return allowed


def lowest(error: np.ndarray) -> float | None:
    return float(np.nanmin(error)) if np.isfinite(error).any() else None


def search(model: EnergyModel, restarts: int, seed: int) -> tuple[np.ndarray, MoleculeBatch]:
    """Return kinds of ligands and crowds at low energies of a model, behind the guard."""
    rng = np.random.default_rng(seed)
    found, names = [], []
    with progress(len(LIGANDS), f"crowds, {model.name}") as bar:
        for done, n in enumerate(LIGANDS, start=1):
            kinds, numbers = drawn(model.elements, n, restarts, rng)
            room = Room.of(numbers, Rules().clash_fraction, REACH)
            x, energy = started(model, numbers, room, rng)
            x = descend(model, numbers, x, room, STEPS).positions
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


def started(
    model: EnergyModel, numbers: Tensor, room: Room, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return the random crowds of lowest energy, ``(B, A, 3)`` Å, and ``(B,)`` eV.

    The energy is infinite where none of the random crowds is allowed.
    """
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
