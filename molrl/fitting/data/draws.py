"""Draws of structures from relaxed molecules or an empty canvas, each from a stream of its own."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from molrl.bags import Bag
from molrl.chemistry.molecule_set import split_of
from molrl.fitting.data.config import DataConfig
from molrl.structures.build import build_random_walk, make_pair, place_atom, take_prefix
from molrl.structures.crowds import draw_crowd
from molrl.structures.distort import (
    place_beside,
    press_together,
    pull_apart,
    rattle,
    strain,
    twist,
)
from molrl.structures.structure import NEAREST, Structure, distances

_WIDTHS = ((0.01, 0.06), (0.02, 0.12), (0.12, 0.25))  # Å, of distorted molecules
_WIDTH_SHARES = (0.4, 0.35, 0.25)
_STRAIN = 0.04
_SMALLNESS = 1.5  # a molecule is drawn from in proportion to its heavy atoms to minus this power
_TRIES = 20

Draw = Callable[[np.random.Generator], Structure | None]


def stream(config: DataConfig, kind: str, index: int) -> np.random.Generator:
    """A stream of random numbers for each structure, independent of the counts of other kinds."""
    return np.random.default_rng([config.seed, *kind.encode(), index])


def drawn(config: DataConfig, kind: str, count: int, draw: Draw) -> Iterator[Structure]:
    """``count`` structures; a draw that fails is repeated up to 20 times."""
    for i in range(count):
        rng = stream(config, kind, i)
        for _ in range(_TRIES):
            structure = draw(rng)
            if structure is not None and distances(structure.positions).min() > NEAREST:
                yield structure
                break


def draw_off_equilibrium(config: DataConfig, molecules: Sequence[Structure]) -> Iterator[Structure]:
    """All kinds that start from the relaxed molecules or from an empty canvas."""
    draws = _Draws(config, molecules)
    counts = config.counts
    yield from drawn(config, "distorted", counts.distorted, draws.distorted)
    yield from drawn(config, "twisted", counts.twisted, draws.twisted)
    yield from drawn(config, "half-built", counts.half_built, draws.half_built)
    yield from drawn(config, "placed", counts.placed, draws.placed)
    yield from drawn(config, "clash", counts.clash, draws.clash)
    yield from drawn(config, "fragments", counts.fragments, draws.fragments)
    yield from drawn(config, "pair", counts.pair, draws.pair)
    yield from drawn(config, "crowd", counts.crowds, draws.crowd)
    for i in range(counts.random_walks):
        yield draws.random_walk(stream(config, "random walk", i), i)


def draw_one(molecules: Sequence[Structure], rng: np.random.Generator) -> Structure:
    """Draw one of some molecules, all in equal shares."""
    return molecules[int(rng.integers(len(molecules)))]


def by_split(molecules: Sequence[Structure]) -> dict[str, list[Structure]]:
    """Return the molecules of each split that has any."""
    found: dict[str, list[Structure]] = {}
    for molecule in molecules:
        found.setdefault(split_of(molecule.identity), []).append(molecule)
    return found


def draw_shares(molecules: Sequence[Structure]) -> np.ndarray:
    """Return ``(n,)`` shares in which to draw molecules, small ones more often."""
    heavy = np.array([(m.numbers > 1).sum().clip(1) for m in molecules])
    shares: np.ndarray = heavy**-_SMALLNESS / (heavy**-_SMALLNESS).sum()
    return shares


class _Draws:
    """One method for each kind, each a function of the stream of random numbers only."""

    def __init__(self, config: DataConfig, molecules: Sequence[Structure]) -> None:
        self._config = config
        self._molecules = molecules
        self._shares = draw_shares(molecules)
        self._elements = [1, *(atomic_numbers[symbol] for symbol in config.elements)]
        self._by_split = by_split(molecules)

    def _molecule(self, rng: np.random.Generator) -> Structure:
        return self._molecules[int(rng.choice(len(self._molecules), p=self._shares))]

    def _start(self, rng: np.random.Generator) -> Structure:
        """A molecule, or three times in four a half-built one."""
        molecule = self._molecule(rng)
        prefix = take_prefix(molecule, rng) if rng.random() < 0.75 else molecule
        return prefix or molecule

    def distorted(self, rng: np.random.Generator) -> Structure:
        molecule = self._molecule(rng)
        if rng.random() < 0.5:
            molecule = strain(molecule, rng, rng.uniform(0, _STRAIN), "distorted")
        low, high = rng.choice(_WIDTHS, p=_WIDTH_SHARES)
        return rattle(molecule, rng, rng.uniform(low, high), "distorted")

    def twisted(self, rng: np.random.Generator) -> Structure | None:
        structure: Structure | None = self._molecule(rng)
        for _ in range(int(rng.integers(1, 4))):
            structure = structure and twist(structure, rng)
        return structure and rattle(structure, rng, rng.uniform(0.0, 0.06), "twisted")

    def half_built(self, rng: np.random.Generator) -> Structure | None:
        prefix = take_prefix(self._molecule(rng), rng)
        if prefix is None or rng.random() < 0.5:
            return prefix
        return rattle(prefix, rng, rng.uniform(0.03, 0.2), "half-built")

    def placed(self, rng: np.random.Generator) -> Structure | None:
        start = self._start(rng)
        if rng.random() < 0.5:
            start = rattle(start, rng, rng.uniform(0.03, 0.2), start.kind)
        guard = self._config.guard if rng.random() < 0.7 else None
        number = rng.choice(self._elements) if rng.random() < 0.5 else rng.choice(start.numbers)
        return place_atom(start, int(number), rng, guard)

    def clash(self, rng: np.random.Generator) -> Structure | None:
        start = self._start(rng)
        return press_together(start, rng) if len(start) > 1 else None

    def fragments(self, rng: np.random.Generator) -> Structure | None:
        start = self._start(rng)
        if rng.random() < 0.6:
            return pull_apart(start, rng)
        small = [m for m in self._by_split[split_of(start.identity)] if len(m) <= 9]
        if not small or len(start) > 12:
            return None
        other = small[int(rng.integers(len(small)))]
        return place_beside(start, take_prefix(other, rng) or other, rng)

    def crowd(self, rng: np.random.Generator) -> Structure | None:
        return draw_crowd(self._molecule(rng), self._elements, rng, self._config.guard)

    def pair(self, rng: np.random.Generator) -> Structure:
        numbers = rng.choice(self._elements, 2)
        bond = covalent_radii[numbers].sum()
        near = rng.random() < 0.6
        distance = rng.uniform(0.3, 2.0) * bond if near else rng.uniform(0.3, 6.0)
        return make_pair(numbers.tolist(), max(0.3, round(float(distance), 4)))

    def random_walk(self, rng: np.random.Generator, index: int) -> Structure:
        """A prefix of a random walk; long ones are as likely as short ones."""
        formulas = self._config.bags
        if rng.random() < 0.6 and formulas:
            bag = Bag(formulas[int(rng.integers(len(formulas)))])
        else:
            bag = Bag(self._molecule(rng).numbers)
        name = f"walk:{bag.formula}:{index}"
        built = build_random_walk(bag.numbers, name, rng, self._config.guard)
        n = int(rng.integers(2, len(built) + 1)) if rng.random() < 0.6 else len(built)
        return built.only(np.arange(max(n, min(2, len(built)))), "random walk")
