"""Making the data an energy model is fitted to, from a config and a seed."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from rdkit import Chem

from molrl.bags import Bag
from molrl.chemistry.molecule_set import MoleculeSet, shipped_molecules, split_of
from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.held_out import read_identities
from molrl.fitting.data.labels import Dropped, Progress, label
from molrl.fitting.data.relaxing import relax_all
from molrl.structures.build import build_random_walk, make_pair, place_atom, take_prefix
from molrl.structures.distort import place_beside, press_together, pull_apart, rattle, strain, twist
from molrl.structures.structure import NEAREST, Structure, distances, to_batch, to_structures

_RELAXED = 0.05  # eV/Å; partial relaxations end there
_MAX_STEPS = 12  # of partial relaxations
_ROUGH = ("half-built", "placed", "random walk", "twisted")  # kinds that are partially relaxed
_SMALL = 4  # heavy atoms; half of the molecules at most are as small
_WIDTHS = ((0.01, 0.06), (0.02, 0.12), (0.12, 0.25))  # Å, of distorted molecules
_WIDTH_SHARES = (0.4, 0.35, 0.25)
_STRAIN = 0.04
_SMALLNESS = 1.5  # a molecule is drawn from in proportion to its heavy atoms to minus this power

Draw = Callable[[np.random.Generator], Structure | None]


def make_dataset(config: DataConfig, progress: Progress) -> tuple[Dataset, Dropped]:
    """Draw and label structures; nothing is written.

    The same config gives the same structures; partially relaxed ones are the same to rounding.

    Args:
        config: what to make.
        progress: called with how far it is.

    Returns:
        The data, and the counts of the structures that were asked for but are not among them.

    Raises:
        InputError: if there is no such reference or it does not know an element, the molecule set
            or the file of held-out molecules is broken, or no molecule of the set is left.
    """
    reference = load_energy(config.reference)
    for symbol in config.elements:
        if atomic_numbers[symbol] not in reference.elements:
            raise InputError(f"elements: {config.reference} does not know {symbol}")
    molecules = starting_molecules(config, read_identities(config.held_out, progress))
    structures = list(molecules)
    made = list(_off_equilibrium(config, molecules))
    structures += made
    rough = [s for s in made if s.kind in _ROUGH]
    rng = _stream(config, "partially relaxed", 0)
    count = min(config.counts.partially_relaxed, len(rough))
    index = np.sort(rng.choice(len(rough), count, replace=False))
    structures += _relax_partially([rough[i] for i in index], rng, progress)
    data, dropped = label(structures, reference, config.max_force, progress)
    made_of = Counter(structure.kind for structure in structures)
    for kind, count in config.counts.by_kind().items():
        dropped.not_made[kind] = count - made_of[kind]
    return data, dropped


def starting_molecules(config: DataConfig, held_out: Collection[str]) -> list[Structure]:
    """Choose the molecules of the set that all kinds start from.

    Up to half of them are small, the smallest first; the seed chooses the others.

    Args:
        config: the set, and what to choose from it.
        held_out: identities of molecules that are not chosen.

    Returns:
        Structures of kind ``relaxed``.

    Raises:
        InputError: if there is no such set, or nothing is left of it.
    """
    given = config.molecules
    molecules = shipped_molecules() if given is None else MoleculeSet.load(given)
    group = None if config.holding is None else Chem.MolFromSmarts(config.holding)
    known = {1, *(atomic_numbers[symbol] for symbol in config.elements)}
    batch = molecules.molecules
    found = [
        structure
        for structure in to_structures(batch, "relaxed", molecules.identities)
        if known.issuperset(structure.numbers.tolist())
        and (structure.numbers > 1).sum() <= config.max_heavy
        and structure.identity not in held_out
        and (group is None or Chem.MolFromSmiles(structure.identity).HasSubstructMatch(group))
    ]
    if not found:
        raise InputError(
            f"molecules: nothing in {given or 'the shipped set'} has {', '.join(config.elements)} "
            f"only, up to {config.max_heavy} heavy atoms"
            + (f", holds {config.holding}" if config.holding else "")
            + ", and is not held out"
        )
    found = [found[i] for i in _stream(config, "relaxed", 0).permutation(len(found))]
    heavy = [int((s.numbers > 1).sum()) for s in found]
    small = sorted((i for i, n in enumerate(heavy) if n <= _SMALL), key=lambda i: heavy[i])
    large = [i for i, n in enumerate(heavy) if n > _SMALL]
    n = config.counts.relaxed
    n_small = max(n // 2, n - len(large))
    chosen = small[:n_small]
    chosen += large[: n - len(chosen)]
    return [found[i] for i in chosen]


def _relax_partially(
    structures: Sequence[Structure], rng: np.random.Generator, progress: Progress
) -> list[Structure]:
    """The structures after 2 to 12 steps of relaxation, without those that failed."""
    steps = rng.integers(2, _MAX_STEPS + 1, size=len(structures)).tolist()
    results = relax_all(to_batch(structures), _RELAXED, steps, progress)
    return [
        s.at(result[0], "partially relaxed")
        for s, result in zip(structures, results, strict=True)
        if not isinstance(result, str)
    ]


def _stream(config: DataConfig, kind: str, index: int) -> np.random.Generator:
    """A stream of random numbers for each structure, independent of the counts of other kinds."""
    return np.random.default_rng([config.seed, *kind.encode(), index])


def _drawn(config: DataConfig, kind: str, count: int, draw: Draw) -> Iterator[Structure]:
    """``count`` structures; a draw that fails is repeated up to 20 times."""
    for i in range(count):
        rng = _stream(config, kind, i)
        for _ in range(20):
            structure = draw(rng)
            if structure is not None and distances(structure.positions).min() > NEAREST:
                yield structure
                break


def _off_equilibrium(config: DataConfig, molecules: Sequence[Structure]) -> Iterable[Structure]:
    """All kinds that start from the relaxed molecules or from an empty canvas."""
    draws = _Draws(config, molecules)
    counts = config.counts
    yield from _drawn(config, "distorted", counts.distorted, draws.distorted)
    yield from _drawn(config, "twisted", counts.twisted, draws.twisted)
    yield from _drawn(config, "half-built", counts.half_built, draws.half_built)
    yield from _drawn(config, "placed", counts.placed, draws.placed)
    yield from _drawn(config, "clash", counts.clash, draws.clash)
    yield from _drawn(config, "fragments", counts.fragments, draws.fragments)
    yield from _drawn(config, "pair", counts.pair, draws.pair)
    for i in range(counts.random_walks):
        yield draws.random_walk(_stream(config, "random walk", i), i)


class _Draws:
    """One method for each kind, each a function of the stream of random numbers only."""

    def __init__(self, config: DataConfig, molecules: Sequence[Structure]) -> None:
        self._config = config
        self._molecules = molecules
        self._elements = [1, *(atomic_numbers[symbol] for symbol in config.elements)]
        heavy = np.array([(m.numbers > 1).sum().clip(1) for m in molecules])
        self._shares = heavy**-_SMALLNESS / (heavy**-_SMALLNESS).sum()
        self._by_split: dict[str, list[Structure]] = {}
        for molecule in molecules:
            self._by_split.setdefault(split_of(molecule.identity), []).append(molecule)

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
