"""Basin hopping of whole bags for minima that only the model has.

Wales and Doye, J. Phys. Chem. A 101, 5111 (1997).
"""

from dataclasses import dataclass, field

import numpy as np
from ase.data import covalent_radii
from isomers import BestIsomer
from reference_or_bound import gfn2_or_bound

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.envs.config import Rules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

BAGS = ("C3H8O", "C4H7N", "C5H9NO", "C2H4O2", "C3H7NO", "C4H8O", "C2H5NO2", "C3H6O2S")
WALKERS = 128  # relaxed at once
HOPPED = 0.9  # share of starts that are hops; the others are grown anew
TEMPERATURE = 0.5  # eV
TOLERANCE = 0.05  # eV/Å, of a relaxation
FIRST_STEPS, FURTHER_STEPS = 30, 60
HOPEFUL = 4.0  # eV above the best isomer after the first steps; others get no further ones
BELOW, ABOVE = 0.1, 0.05  # eV, below the best isomer in the model, above it in GFN2-xTB
GUARD = Rules().clash_fraction  # of the covalent radii's sum
TRIES = 200  # of a place or a hop behind the guard


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
    best = BestIsomer.of(model, formula)
    found = hop_between_minima(model, Bag(formula), best.energy, (relaxations, seed))
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
        energy = best.energy + np.array(found.energy)[guarded]
        false = gfn2_or_bound(molecules).refutes(energy, best.reference + ABOVE)
        row["false"] = int(false.sum())
        row["false with the default rules"] = int((false & certain(model, molecules)).sum())
    return row


def certain(model: EnergyModel, molecules: MoleculeBatch) -> np.ndarray:
    """Return which canvases the default rules accept for their uncertainty, ``(n,)`` bool."""
    limit = Rules().resolved(model.offers_uncertainty).max_uncertainty
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
            found.relaxations += len(batch)
            for i, (x, e) in enumerate(minimised(model, batch, best)):
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


def minimised(
    model: EnergyModel, starts: MoleculeBatch, best: float
) -> list[tuple[np.ndarray, float]]:
    """Return positions ``(n, 3)`` and energies, eV, after relaxations.

    Those that are still far above the best isomer after the first steps, as broken molecules are,
    get no further ones: the time goes where a minimum below it may be.
    """
    first = relax(starts, model, TOLERANCE, FIRST_STEPS)
    found = [
        (x, e) for (_, x), e in zip(first.molecules.arrays(), first.energy.tolist(), strict=True)
    ]
    hopeful = (first.energy < best + HOPEFUL) & ~first.converged
    chosen = hopeful.nonzero().flatten().tolist()
    if chosen:
        further = relax(first.molecules[chosen], model, TOLERANCE, FURTHER_STEPS)
        ends = zip(chosen, further.molecules.arrays(), further.energy.tolist(), strict=True)
        for i, (_, x), e in ends:
            found[i] = x, e
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
            place = free_place(int(numbers[moved]), numbers[others], x[others], rng)
            new[moved] = x[moved] if place is None else place
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
            new = free_place(numbers[i], numbers[:i], x, rng)
            if new is None:
                break
            x = np.vstack([x, new])
        else:
            return x


def free_place(
    number: int, numbers: np.ndarray, x: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Return a random place ``(3,)`` near a random heavy atom, behind the guard; None: no room."""
    heavy = np.flatnonzero(numbers > 1)
    focus = rng.choice(heavy if len(heavy) else len(numbers), TRIES)
    way = rng.normal(size=(TRIES, 3))
    reach = rng.uniform(0.8, 1.3, TRIES) * (covalent_radii[number] + covalent_radii[numbers[focus]])
    places = x[focus] + (reach / np.linalg.norm(way, axis=1))[:, None] * way
    gaps = np.linalg.norm(places[:, None] - x, axis=-1)
    free = (gaps >= GUARD * (covalent_radii[number] + covalent_radii[numbers])).all(1)
    return places[free.argmax()] if free.any() else None


def behind_guard(numbers: np.ndarray, x: np.ndarray) -> bool:
    """Return whether no two atoms clash under the default rules."""
    radii = covalent_radii[numbers]
    first, second = np.triu_indices(len(numbers), 1)
    gaps = np.linalg.norm(x[first] - x[second], axis=-1)
    return bool((gaps >= GUARD * (radii[first] + radii[second])).all())
