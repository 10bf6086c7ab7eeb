"""Making the data an energy model is fitted to, from a config and a seed."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from ase.data import atomic_numbers

from molrl.energy.registry import load_energy
from molrl.errors import InputError
from molrl.fitting.data.complexes import ComplexDraws
from molrl.fitting.data.config import DataConfig
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.draws import draw_off_equilibrium, stream
from molrl.fitting.data.held_out import leave_out, read_identities
from molrl.fitting.data.labels import Dropped, Progress, label
from molrl.fitting.data.large import make_large
from molrl.fitting.data.rearrangements import RearrangementDraws, distort_large
from molrl.fitting.data.relaxing import relax_all
from molrl.fitting.data.starting import Bases, prepare_bases
from molrl.structures.large import HEAVY
from molrl.structures.structure import Structure, to_batch

_RELAXED = 0.05  # eV/Å; partial relaxations end there
_STEPS = (2, 12)  # of partial relaxations
_DOWNHILL = (13, 100)  # of those of complexes that go on towards a minimum
_TO_MINIMA = 0.35  # of the complexes
_CLUSTERS = 4.0  # how much more often clusters are chosen: packed at random, they repel
_ROUGH = ("half-built", "placed", "random walk", "twisted", "torsion", "reaction")
_COMPLEX = ("dimer", "cluster")
_KEPT = (*_COMPLEX, "large", "distorted large")  # kinds that are still so when partially relaxed


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
    held_out = read_identities(config.held_out, progress)
    drawn = draw_structures(config, held_out, progress)
    rough = [s for s in drawn if s.kind in _ROUGH + _KEPT]
    rng = stream(config, "partially relaxed", 0)
    count = min(config.counts.partially_relaxed, len(rough))
    chosen = rng.choice(len(rough), count, replace=False, p=_weights(rough))
    relaxed = _relax_partially([rough[i] for i in np.sort(chosen)], rng, progress)
    relaxed = leave_out(relaxed, held_out, progress)
    data, dropped = label([*drawn, *relaxed], reference, config.max_force, progress)
    made_of = Counter(structure.kind for structure in drawn)
    made_of["partially relaxed"] = len(relaxed)
    for kind, count in config.counts.by_kind().items():
        dropped.not_made[kind] = count - made_of[kind]
    return data, dropped


def draw_structures(
    config: DataConfig, held_out: frozenset[str], progress: Progress
) -> list[Structure]:
    """Draw the structures of all kinds but the partially relaxed ones, without labels.

    Args:
        config: what to make.
        held_out: identities of molecules that none of the structures is.
        progress: called with how far it is.

    Raises:
        InputError: if the molecule set is broken, or no molecule of it is left.
    """
    bases = prepare_bases(config, held_out, progress)
    n = max(config.counts.large, -(-config.counts.distorted_large // 10))
    large = make_large(config, bases.molecules, held_out, (n, HEAVY[1]), progress)
    drawn = [
        *bases.molecules,
        *draw_off_equilibrium(config, bases.molecules),
        *_draw_from_bases(config, bases),
        *large[: config.counts.large],
        *distort_large(config, large, config.counts.distorted_large),
    ]
    return leave_out(drawn, held_out, progress)


def _draw_from_bases(config: DataConfig, bases: Bases) -> Iterator[Structure]:
    """The kinds that need more than the molecules of the set."""
    counts = config.counts
    complexes, rearrangements = ComplexDraws(config, bases), RearrangementDraws(config, bases)
    yield from complexes.dimers(counts.dimers)
    yield from complexes.clusters(counts.clusters)
    yield from rearrangements.torsions(counts.torsions)
    yield from rearrangements.reactions(counts.reactions)


def _weights(structures: Sequence[Structure]) -> np.ndarray | None:
    """The shares in which to choose what is partially relaxed, clusters above all."""
    weights = np.array([_CLUSTERS if s.kind == "cluster" else 1.0 for s in structures])
    return weights / weights.sum() if (weights > 1).any() else None


def _relax_partially(
    structures: Sequence[Structure], rng: np.random.Generator, progress: Progress
) -> list[Structure]:
    """The structures after some steps of relaxation, without those that failed."""
    steps = rng.integers(_STEPS[0], _STEPS[1] + 1, size=len(structures))
    complexes = np.array([s.kind in _COMPLEX for s in structures], dtype=bool)
    if complexes.any():
        on = complexes & (rng.random(len(structures)) < _TO_MINIMA)
        steps[on] = rng.integers(_DOWNHILL[0], _DOWNHILL[1] + 1, size=on.sum())
    results = relax_all(to_batch(structures), _RELAXED, steps.tolist(), progress)
    return [
        s.at(result[0], s.kind if s.kind in _KEPT else "partially relaxed")
        for s, result in zip(structures, results, strict=True)
        if not isinstance(result, str)
    ]
