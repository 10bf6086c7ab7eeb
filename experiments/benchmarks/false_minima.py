"""Basin hopping of whole bags for minima that only the model has.

Wales and Doye, J. Phys. Chem. A 101, 5111 (1997).
"""

from dataclasses import dataclass, field

import numpy as np
from crowds import certain
from isomers import BestIsomer
from reference_or_bound import gfn2_or_bound

from molrl.attacks.hopping import Walkers
from molrl.attacks.room import is_behind_guard
from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.envs.config import Rules
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import progress

BAGS = ("C3H8O", "C4H7N", "C5H9NO", "C2H4O2", "C3H7NO", "C4H8O", "C2H5NO2", "C3H6O2S")
WALKERS = 128  # relaxed at once
TOLERANCE = 0.05  # eV/Å, of a relaxation
FIRST_STEPS, FURTHER_STEPS = 30, 60
HOPEFUL = 6.0  # eV above the best isomer after the first steps; others get no further ones
BELOW, ABOVE = 0.1, 0.05  # eV, below the best isomer in the model, above it in GFN2-xTB


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
    relaxations, seed = extent
    guard, found = Rules().clash_fraction, Found()
    walkers = Walkers([bag] * min(WALKERS, relaxations), guard, seed)
    with progress(relaxations, f"{bag} with {model.name}") as bar:
        while found.relaxations < relaxations:
            ends, energy = minimised(model, walkers.start(), best)
            found.relaxations += len(ends)
            below = energy < best - BELOW
            for i in np.flatnonzero(below):
                numbers, x = ends[int(i)].arrays()[0]
                found.below.append((numbers, x))
                found.guarded.append(is_behind_guard(numbers, x, guard))
                found.energy.append(float(energy[i]) - best)
            walkers.accept(ends, energy, anew=below)
            bar.update(found.relaxations, below=len(found.below))
    return found


def minimised(
    model: EnergyModel, starts: MoleculeBatch, best: float
) -> tuple[MoleculeBatch, np.ndarray]:
    """Return the molecules after relaxations, and their energies ``(n,)``, eV.

    Those that are still far above the best isomer after the first steps, as broken molecules are,
    get no further ones: the time goes where a minimum below it may be. Of 200 starts of C3H8O with
    ``mace``, those that came within 1 eV of the best isomer were at most 5.8 eV above it by then.
    """
    first = relax(starts, model, TOLERANCE, FIRST_STEPS)
    ends, energy = first.molecules.arrays(), first.energy.cpu().numpy()
    hopeful = np.flatnonzero((energy < best + HOPEFUL) & ~first.converged.cpu().numpy())
    if len(hopeful):
        further = relax(first.molecules[hopeful], model, TOLERANCE, FURTHER_STEPS)
        energy[hopeful] = further.energy.cpu().numpy()
        for i, end in zip(hopeful, further.molecules.arrays(), strict=True):
            ends[i] = end
    return MoleculeBatch.from_arrays(ends), energy
