"""Basin hopping of whole bags for minima that only the model has.

Wales and Doye, J. Phys. Chem. A 101, 5111 (1997).
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from ase.data import covalent_radii
from reference_or_bound import gfn2_or_bound

from molrl.bags import Bag
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.envs.config import Rules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

BAGS = ("C3H8O", "C4H7N", "C5H9NO", "C2H4O2", "C3H7NO", "C4H8O", "C2H5NO2", "C3H6O2S")
WALKERS = 50
HOPPED = 0.9  # share of starts that are hops; the others are grown anew
TEMPERATURE = 0.5  # eV
TOLERANCE, STEPS = 0.05, 90  # eV/Å, of a relaxation
BELOW, ABOVE = 0.1, 0.05  # eV, below the best isomer in the model, above it in GFN2-xTB
TRIES = 200


@dataclass
class Found:
    """What relaxations of a bag found.

    Attributes:
        relaxations: how many there were.
        below: structures below the best isomer in the model, wherever their atoms are.
        guarded: ``(n,)`` bool of these, whether they are behind the guard.
        energy: ``(n,)`` eV of these, relative to the best isomer.
    """

    relaxations: int = 0
    below: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    guarded: list[bool] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)


def false_minima_row(
    model: EnergyModel, formula: str, relaxations: int, seed: int
) -> dict[str, object]:
    """Hop between minima of a bag, and count those that GFN2-xTB disagrees with.

    Args:
        model: the energy model that is attacked.
        formula: the bag.
        relaxations: how many.
        seed: of all random choices.
    """
    isomers = shipped_molecules().isomers(formula)
    best = float(relax(isomers.molecules, model).energy.min())
    found = hop_between_minima(model, Bag(formula), best, (relaxations, seed))
    guarded = np.array(found.guarded, bool)
    row: dict[str, object] = {
        "bag": formula,
        "relaxations": found.relaxations,
        "below the best isomer": len(guarded),
        "of these behind the guard": int(guarded.sum()),
        "false": 0,
        "false with the default rules": 0,
        "lowest, eV": float(np.array(found.energy)[guarded].min()) if guarded.any() else None,
    }
    if guarded.any():
        below = [one for one, inside in zip(found.below, guarded, strict=True) if inside]
        molecules = MoleculeBatch.from_arrays(below)
        right = gfn2_or_bound(molecules).energy
        false = ~(right <= float(isomers.energy.min()) + ABOVE)  # also where it has no energy
        row["false"] = int(false.sum())
        row["false with the default rules"] = int((false & certain(model, molecules)).sum())
    return row


def certain(model: EnergyModel, molecules: MoleculeBatch) -> np.ndarray:
    """Return which canvases the default rules accept for their uncertainty, ``(n,)`` bool."""
    limit = Rules().max_uncertainty
    if limit is None:
        return np.ones(len(molecules), bool)
    uncertainty = model.evaluate(molecules, uncertainty=True).uncertainty
    assert uncertainty is not None  # asked for
    allowed: np.ndarray = uncertainty.cpu().numpy() <= limit
    return allowed


def hop_between_minima(model: EnergyModel, bag: Bag, best: float, extent: tuple[int, int]) -> Found:
    """Relax grown molecules and hops from their minima.

    A walker that comes below the best isomer begins anew, so that no pit is counted for every hop
    in it.

    Args:
        model: the energy model.
        bag: the atoms.
        best: eV, energy of the best isomer.
        extent: number of relaxations, and the seed.
    """
    relaxations, rng = extent[0], np.random.default_rng(extent[1])
    numbers = np.array(sorted(bag.numbers, reverse=True))
    places = [grow(numbers, rng) for _ in range(min(WALKERS, relaxations))]
    energies, found = np.full(len(places), np.inf), Found()
    with progress(relaxations, f"{bag} with {model.name}") as bar:
        while found.relaxations < relaxations:
            starts = [hop(numbers, x, rng) if np.isfinite(e) else x
                      for x, e in zip(places, energies, strict=True)]  # fmt: skip
            batch = MoleculeBatch.from_arrays((numbers, x) for x in starts)
            result = relax(batch, model, TOLERANCE, STEPS)
            found.relaxations += len(batch)
            for i, ((_, x), e) in enumerate(
                zip(result.molecules.arrays(), result.energy.tolist(), strict=True)
            ):
                if not np.isfinite(e):
                    places[i], energies[i] = grow(numbers, rng), np.inf
                elif e < best - BELOW:
                    found.below.append((numbers, x))
                    found.guarded.append(behind_guard(numbers, x))
                    found.energy.append(e - best)
                    places[i], energies[i] = grow(numbers, rng), np.inf
                elif e - energies[i] < -TEMPERATURE * np.log(rng.uniform()):
                    places[i], energies[i] = x, e
            bar.update(found.relaxations, below=len(found.below))
    return found


def hop(numbers: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a start near a minimum, or one grown anew: atoms shaken, moved or swapped."""
    if rng.uniform() > HOPPED:
        return grow(numbers, rng)
    for _ in range(TRIES):
        kind, new = rng.integers(3), x.copy()
        if kind == 0:
            new += rng.normal(scale=0.3, size=x.shape)
        elif kind == 1:
            moved = int(rng.integers(len(numbers)))
            others = np.delete(np.arange(len(numbers)), moved)
            new[moved] = near(numbers[moved], numbers[others], x[others], rng)
        else:
            first, second = rng.permutation(len(numbers))[:2]
            new[[first, second]] = x[[second, first]]
        if behind_guard(numbers, new):
            return new
    return grow(numbers, rng)


def grow(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return atoms placed at random one after another, each near one that is in place.

    Args:
        numbers: ``(n,)`` atomic numbers, heavy atoms first.
        rng: the random numbers.

    Returns:
        ``(n, 3)`` Å, behind the guard.
    """
    while True:
        x = np.zeros((1, 3))
        for i in range(1, len(numbers)):
            for _ in range(TRIES):
                new = near(numbers[i], numbers[:i], x, rng)
                if behind_guard(numbers[: i + 1], np.vstack([x, new])):
                    x = np.vstack([x, new])
                    break
            else:
                break
        if len(x) == len(numbers):
            return x


def near(number: int, numbers: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random place ``(3,)`` near a random heavy atom."""
    heavy = np.flatnonzero(numbers > 1)
    focus = int(rng.choice(heavy if len(heavy) else len(numbers)))
    way = rng.normal(size=3)
    reach = rng.uniform(0.8, 1.3) * (covalent_radii[number] + covalent_radii[numbers[focus]])
    place: np.ndarray = x[focus] + reach * way / np.linalg.norm(way)
    return place


def behind_guard(numbers: np.ndarray, x: np.ndarray) -> bool:
    """Return whether no two atoms clash under the default rules."""
    radii = covalent_radii[numbers]
    gaps = torch.pdist(torch.from_numpy(x))
    pairs = np.triu_indices(len(numbers), 1)
    return bool(
        (gaps.numpy() >= Rules().clash_fraction * (radii[pairs[0]] + radii[pairs[1]])).all()
    )
