"""Basin hopping of whole bags: walkers between the minima of a model.

Wales and Doye, J. Phys. Chem. A 101, 5111 (1997).
"""

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from molrl.attacks.room import is_behind_guard
from molrl.bags import Bag
from molrl.molecules import MoleculeBatch

_HOPPED = 0.9  # share of starts that are hops; the others are grown anew
_TEMPERATURE = 0.5  # eV
_SHAKE = 0.3  # Å
_REACH = (0.8, 1.3)  # of the sum of covalent radii, of a new atom from one that is in place
_TRIES = 200
_PLACES = 32  # tried at once for one atom


class Walkers:
    """Walkers in the energy landscapes of bags, each to be relaxed by the caller.

    Args:
        bags: of each walker.
        guard: smallest distance as a share of the sum of covalent radii, of what they start from.
        seed: of all random choices.

    Example:
        >>> from molrl.energy import load_energy
        >>> from molrl.energy.relaxation import relax
        >>> walkers = Walkers([Bag("H2O")] * 2, guard=0.65, seed=0)
        >>> end = relax(walkers.start(), load_energy("mace-small"), max_steps=5)
        >>> walkers.accept(end.molecules, end.energy.numpy())
    """

    def __init__(self, bags: Sequence[Bag], guard: float, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._guard = guard
        self._numbers = [np.array(sorted(bag.numbers, reverse=True)) for bag in bags]
        self._places = [grow(numbers, guard, self._rng) for numbers in self._numbers]
        self._energy = np.full(len(bags), np.inf)

    def start(self) -> MoleculeBatch:
        """Return where the next relaxations start: hops from the minima, or grown molecules."""
        return MoleculeBatch.from_arrays(
            (numbers, hop(numbers, x, self._guard, self._rng) if np.isfinite(energy) else x)
            for numbers, x, energy in zip(self._numbers, self._places, self._energy, strict=True)
        )

    def accept(
        self, ends: MoleculeBatch, energy: np.ndarray, anew: np.ndarray | None = None
    ) -> None:
        """Go to the minima that were found, by the criterion of Metropolis at 0.5 eV.

        Args:
            ends: a minimum of each walker.
            energy: ``(n,)`` eV; a walker without an energy begins anew.
            anew: ``(n,)`` bool, the other walkers that begin anew.
        """
        lost = ~np.isfinite(energy) if anew is None else ~np.isfinite(energy) | anew
        for i, (numbers, x) in enumerate(ends.arrays()):
            if lost[i]:
                self._places[i] = grow(numbers, self._guard, self._rng)
                self._energy[i] = np.inf
            elif energy[i] - self._energy[i] < -_TEMPERATURE * np.log(self._rng.uniform()):
                self._places[i], self._energy[i] = x, energy[i]


def hop(numbers: np.ndarray, x: np.ndarray, guard: float, rng: np.random.Generator) -> np.ndarray:
    """Return a start near a minimum, or one grown anew: atoms shaken, moved or swapped.

    Args:
        numbers: ``(n,)`` atomic numbers, heavy atoms first.
        x: ``(n, 3)`` Å, the minimum.
        guard: smallest distance as a share of the sum of covalent radii.
        rng: the random numbers.

    Returns:
        ``(n, 3)`` Å, behind the guard.
    """
    if rng.uniform() > _HOPPED or len(numbers) < 2:
        return grow(numbers, guard, rng)
    for _ in range(_TRIES):
        kind, new = rng.integers(3), x.copy()
        if kind == 0:
            new += rng.normal(scale=_SHAKE, size=x.shape)
        elif kind == 1:
            moved = int(rng.integers(len(numbers)))
            others = np.delete(np.arange(len(numbers)), moved)
            place = _place(numbers[moved], numbers[others], x[others], guard, rng)
            if place is None:
                continue
            new[moved] = place
        else:
            first, second = rng.permutation(len(numbers))[:2]
            new[[first, second]] = x[[second, first]]
        if is_behind_guard(numbers, new, guard):
            return new
    return grow(numbers, guard, rng)


def grow(numbers: np.ndarray, guard: float, rng: np.random.Generator) -> np.ndarray:
    """Place atoms at random one after another, each near one that is in place.

    Args:
        numbers: ``(n,)`` atomic numbers, heavy atoms first.
        guard: smallest distance as a share of the sum of covalent radii.
        rng: the random numbers.

    Returns:
        ``(n, 3)`` Å, behind the guard.
    """
    while True:  # now and then the first atoms enclose the last place
        x = np.zeros((1, 3))
        while len(x) < len(numbers):
            place = _place(numbers[len(x)], numbers[: len(x)], x, guard, rng)
            if place is None:
                break
            x = np.vstack([x, place])
        else:
            return x


def _place(
    number: int, numbers: np.ndarray, x: np.ndarray, guard: float, rng: np.random.Generator
) -> np.ndarray | None:
    """A random place ``(3,)`` behind the guard, near a random heavy atom; None if none was found.

    With light atoms only, it is near any of them.
    """
    heavy = np.flatnonzero(numbers > 1)
    near = heavy if len(heavy) else np.arange(len(numbers))
    radii = covalent_radii[number] + covalent_radii[numbers]
    for _ in range(_TRIES // _PLACES):
        focus = rng.choice(near, _PLACES)
        way = rng.normal(size=(_PLACES, 3))
        way *= (rng.uniform(*_REACH, _PLACES) * radii[focus] / np.linalg.norm(way, axis=-1))[
            :, None
        ]
        places = x[focus] + way
        gaps = np.linalg.norm(places[:, None] - x, axis=-1)
        free = np.flatnonzero((gaps >= guard * radii).all(-1))
        if len(free):
            place: np.ndarray = places[free[0]]
            return place
    return None
