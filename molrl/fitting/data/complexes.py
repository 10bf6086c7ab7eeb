"""Draws of complexes: dimers, of which some are scans of the distance, and clusters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.draws import by_split, draw_one, draw_shares, drawn, stream
from molrl.fitting.data.starting import Bases
from molrl.structures.clusters import build_cluster, draw_cluster_size
from molrl.structures.complexes import draw_dimer, scan_dimer
from molrl.structures.structure import Structure

_STACKABLE = 0.12  # of the dimers are of two aromatic molecules
_EVERYWHERE, _SOLVENTS, _AROMATIC = 0.4, 0.2, 0.1  # of other partners; the rest of the set
_SCANNED = 0.06  # of the dimers; each gives eight structures, so a third of all
_WATER, _SOLUTE = 0.4, 0.2  # of the clusters are pure water, or water and one molecule more
_MOLECULE, _SOLUTES = 3, 6  # heavy atoms at most


@dataclass(frozen=True)
class _Molecules:
    """What complexes of one split are made of: the common molecules, and those of the split.

    Attributes:
        own: the molecules of the split.
        shares: how often each of them is drawn.
        small: for clusters.
        solutes: of clusters of water.
        water: water, if there is any.
    """

    own: Sequence[Structure]
    shares: np.ndarray
    small: Sequence[Structure]
    solutes: Sequence[Structure]
    water: Sequence[Structure]

    @classmethod
    def of(cls, own: Sequence[Structure], bases: Bases) -> "_Molecules":
        known = [*bases.everywhere, *bases.solvents, *own]
        small = _up_to(_MOLECULE, known) or list(own)
        solutes = _up_to(_SOLUTES, known) or list(own)
        water = [m for m in known if m.identity == "O"] or small
        return cls(own, draw_shares(own), small, solutes, water)


class ComplexDraws:
    """Draws of dimers and clusters of the molecules of a config.

    Those of a complex are of one split, which is that of the complex, or so common that nearly all
    complexes have them: else a complex of the train split would tell the energies of others.

    Args:
        config: the seed.
        bases: the molecules.
    """

    def __init__(self, config: DataConfig, bases: Bases) -> None:
        self._config = config
        self._bases = bases
        self._common = {m.identity for m in (*bases.everywhere, *bases.solvents, *bases.flat)}
        own = by_split(bases.molecules)
        self._of = {split: _Molecules.of(own[split], bases) for split in sorted(own)}
        self._weights = np.array([len(own[s]) for s in self._of]) / len(bases.molecules)

    def dimers(self, count: int) -> Iterator[Structure]:
        """Draw ``count`` structures of kind ``dimer``."""
        return islice(self._dimers_and_scans(), count)

    def clusters(self, count: int) -> Iterator[Structure]:
        """Draw ``count`` structures of kind ``cluster``."""
        return drawn(self._config, "cluster", count, self._cluster)

    def _draw_split(self, rng: np.random.Generator) -> str:
        return str(rng.choice(list(self._of), p=self._weights))

    def _in(self, split: str, complex_: Structure) -> Structure:
        """Return a complex with the split of its molecules, if one of them is not common."""
        if self._common.issuperset(complex_.identity.split(".")):
            return complex_
        return replace(complex_, split=split)

    def _dimers_and_scans(self) -> Iterator[Structure]:
        index = 0
        while True:
            rng = stream(self._config, "dimer", index)
            index += 1
            split = self._draw_split(rng)
            dimer = draw_dimer(*self._pair(self._of[split], rng), rng)
            if dimer is not None:
                dimer = self._in(split, dimer)
                yield from scan_dimer(dimer, rng) if rng.random() < _SCANNED else [dimer]

    def _pair(self, molecules: _Molecules, rng: np.random.Generator) -> tuple[Structure, Structure]:
        if self._bases.flat and rng.random() < _STACKABLE:
            return draw_one(self._bases.flat, rng), draw_one(self._bases.flat, rng)
        return self._partner(molecules, rng), self._partner(molecules, rng)

    def _partner(self, molecules: _Molecules, rng: np.random.Generator) -> Structure:
        lists = (self._bases.everywhere, self._bases.solvents, self._bases.flat)
        below = np.cumsum([_EVERYWHERE, _SOLVENTS, _AROMATIC])
        at = int(np.searchsorted(below, rng.random()))
        if at < len(lists) and lists[at]:
            return draw_one(lists[at], rng)
        return molecules.own[int(rng.choice(len(molecules.own), p=molecules.shares))]

    def _cluster(self, rng: np.random.Generator) -> Structure:
        n = draw_cluster_size(rng)
        split = self._draw_split(rng)
        sort, known = rng.random(), self._of[split]
        if sort < _WATER + _SOLUTE:
            molecules = [draw_one(known.water, rng)] * n
            if sort >= _WATER:
                molecules[0] = draw_one(known.solutes, rng)
        else:
            few = [draw_one(known.small, rng) for _ in range(int(rng.integers(1, 5)))]
            molecules = [draw_one(few, rng) for _ in range(n)]
        return self._in(split, build_cluster(molecules, rng))


def _up_to(heavy: int, molecules: Sequence[Structure]) -> list[Structure]:
    """Molecules of so many heavy atoms at most."""
    return [m for m in molecules if (m.numbers > 1).sum() <= heavy]
