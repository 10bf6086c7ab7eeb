"""Draws of complexes: dimers, of which some are scans of the distance, and clusters."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.draws import draw_one, draw_shares, drawn, stream
from molrl.fitting.data.starting import Bases
from molrl.structures.clusters import build_cluster, draw_cluster_size
from molrl.structures.complexes import draw_dimer, scan_dimer
from molrl.structures.structure import Structure

_STACKABLE = 0.12  # of the dimers are of two aromatic molecules
_EVERYWHERE, _SOLVENTS, _AROMATIC = 0.4, 0.2, 0.1  # of other partners; the rest of the set
_SCANNED = 0.06  # of the dimers; each gives eight structures, so a third of all
_WATER, _SOLUTE = 0.4, 0.2  # of the clusters are pure water, or water and one molecule more
_MOLECULE, _SOLUTES = 3, 6  # heavy atoms at most


class ComplexDraws:
    """Draws of dimers and clusters of the molecules of a config.

    Args:
        config: the seed.
        bases: the molecules.
    """

    def __init__(self, config: DataConfig, bases: Bases) -> None:
        self._config = config
        self._bases = bases
        self._shares = draw_shares(bases.molecules)
        known = [*bases.everywhere, *bases.solvents, *bases.molecules]
        self._small = _up_to(_MOLECULE, known) or list(bases.molecules)
        self._solutes = _up_to(_SOLUTES, known) or list(bases.molecules)
        self._water = [m for m in known if m.identity == "O"] or self._small

    def dimers(self, count: int) -> Iterator[Structure]:
        """Draw ``count`` structures of kind ``dimer``."""
        return islice(self._dimers_and_scans(), count)

    def clusters(self, count: int) -> Iterator[Structure]:
        """Draw ``count`` structures of kind ``cluster``."""
        return drawn(self._config, "cluster", count, self._cluster)

    def _dimers_and_scans(self) -> Iterator[Structure]:
        index = 0
        while True:
            rng = stream(self._config, "dimer", index)
            index += 1
            dimer = draw_dimer(*self._pair(rng), rng)
            if dimer is not None:
                yield from scan_dimer(dimer, rng) if rng.random() < _SCANNED else [dimer]

    def _pair(self, rng: np.random.Generator) -> tuple[Structure, Structure]:
        if self._bases.flat and rng.random() < _STACKABLE:
            return draw_one(self._bases.flat, rng), draw_one(self._bases.flat, rng)
        return self._partner(rng), self._partner(rng)

    def _partner(self, rng: np.random.Generator) -> Structure:
        lists = (self._bases.everywhere, self._bases.solvents, self._bases.flat)
        below = np.cumsum([_EVERYWHERE, _SOLVENTS, _AROMATIC])
        at = int(np.searchsorted(below, rng.random()))
        if at < len(lists) and lists[at]:
            return draw_one(lists[at], rng)
        molecules = self._bases.molecules
        return molecules[int(rng.choice(len(molecules), p=self._shares))]

    def _cluster(self, rng: np.random.Generator) -> Structure:
        n = draw_cluster_size(rng)
        sort = rng.random()
        if sort < _WATER + _SOLUTE:
            molecules = [draw_one(self._water, rng)] * n
            if sort >= _WATER:
                molecules[0] = draw_one(self._solutes, rng)
        else:
            few = [draw_one(self._small, rng) for _ in range(int(rng.integers(1, 5)))]
            molecules = [draw_one(few, rng) for _ in range(n)]
        return build_cluster(molecules, rng)


def _up_to(heavy: int, molecules: Sequence[Structure]) -> list[Structure]:
    """Molecules of so many heavy atoms at most."""
    return [m for m in molecules if (m.numbers > 1).sum() <= heavy]
