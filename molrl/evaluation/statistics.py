"""Statistics of a comparison of several methods, each run with several seeds.

Interquartile means with stratified bootstrap intervals follow Agarwal et al., "Deep reinforcement
learning at the edge of the statistical precipice", NeurIPS 2021 (arXiv:2108.13264).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from molrl.errors import InputError

N_RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with its confidence interval.

    Attributes:
        estimate: the statistic of the scores as they are.
        low: lower end of the interval.
        high: upper end.
    """

    estimate: float
    low: float
    high: float


class Curve(NamedTuple):
    """A curve of several runs with its confidence interval at each point.

    Attributes:
        cost: ``(n_points,)`` float64, what a run has used: energy calls, seconds or attempts.
        value: ``(n_points,)`` float64.
        low: ``(n_points,)`` float64, lower end of the interval.
        high: ``(n_points,)`` float64, upper end.
    """

    cost: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Run(NamedTuple):
    """What one independent run found, in any order.

    Attributes:
        cost: ``(n,)`` float, what the run had used when it found each molecule.
        smiles: identity of each molecule; None for one that does not count, such as an invalid one.
        energy: ``(n,)`` float, eV, relaxed; NaN where there is none.

    Example:
        >>> Run(cost=[10, 25], smiles=["CCO", "COC"], energy=[-310.2, -309.7]).smiles
        ['CCO', 'COC']
    """

    cost: Sequence[float] | np.ndarray
    smiles: Sequence[str | None]
    energy: Sequence[float] | np.ndarray


def interquartile_mean(scores: np.ndarray) -> float:
    """Return the mean of the scores without the lowest and the highest quarter.

    Where a quarter is not a whole number of scores it is rounded down, as in the paper's own code.

    Args:
        scores: any shape, float, at least one.

    Example:
        >>> interquartile_mean(np.array([0.0, 1.0, 2.0, 100.0]))
        1.5
    """
    ordered = np.sort(np.asarray(scores, np.float64), axis=None)
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def stratified_interval(
    scores: np.ndarray,
    statistic: Callable[[np.ndarray], float] = interquartile_mean,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return a statistic of runs on several tasks, with its stratified bootstrap interval.

    The runs of each task are drawn again with replacement, task by task, :data:`N_RESAMPLES` times;
    the interval is that of the percentiles.

    Args:
        scores: ``(n_seeds, n_tasks)`` float, finite.
        statistic: of such scores.
        confidence: probability of the interval, between 0 and 1.
        seed: of the resampling.

    Raises:
        InputError: if the scores have another shape or are not finite, or the confidence does not
            fit.

    Example:
        >>> interval = stratified_interval(np.array([[0.8, 0.5], [0.9, 0.4], [0.7, 0.6]]))
        >>> interval.low <= interval.estimate <= interval.high
        True
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise InputError(
            f"scores must be finite and of the shape (n_seeds, n_tasks), not {scores.shape}"
        )
    rng, columns = np.random.default_rng(seed), np.arange(scores.shape[1])
    rows = rng.integers(len(scores), size=(N_RESAMPLES, *scores.shape))
    drawn = [statistic(scores[chosen, columns]) for chosen in rows]
    low, high = np.quantile(drawn, _tails(confidence))
    return Interval(float(statistic(scores)), float(low), float(high))


def discovery_curve(
    runs: Sequence[Run], cost: Sequence[float] | np.ndarray, confidence: float = 0.95, seed: int = 0
) -> Curve:
    """Return how many distinct molecules runs have found by each cost, on average.

    Args:
        runs: independent runs, at least one.
        cost: ``(n_points,)`` at which the curve is evaluated.
        confidence: probability of the bootstrap interval over the runs; between 0 and 1.
        seed: of the resampling.

    Raises:
        InputError: if there is no run, one is not consistent, or the confidence does not fit.

    Example:
        >>> runs = [Run([1, 2, 3], ["CO", "CO", None], [0, 0, 0]), Run([2], ["CO"], [0])]
        >>> discovery_curve(runs, [1, 2, 3]).value
        array([0.5, 1. , 1. ])
    """
    at = np.asarray(cost, np.float64)
    found = np.stack([_reached(_first_costs(run), at) for run in _checked(runs)])
    # Whole runs are drawn, so that the ends of the intervals never fall.
    drawn_runs = np.random.default_rng(seed).integers(len(runs), size=(N_RESAMPLES, len(runs)))
    drawn = np.stack([found[chosen].mean(0) for chosen in drawn_runs])
    low, high = np.quantile(drawn, _tails(confidence), axis=0)
    return Curve(at, found.mean(0), low, high)


def success_curve(
    runs: Sequence[Run],
    cost: Sequence[float] | np.ndarray,
    best: float,
    within: float = 0.05,
    confidence: float = 0.95,
) -> Curve:
    """Return the share of runs that have come near the best known energy by each cost.

    The interval is Wilson's of a binomial share, J. Am. Stat. Assoc. 22, 209 (1927), which holds
    for few runs and for shares of 0 and 1, where a bootstrap interval has no width.

    Args:
        runs: independent runs, at least one; molecules without an identity do not count.
        cost: ``(n_points,)`` at which the curve is evaluated.
        best: eV, the energy of the best known isomer.
        within: eV above it that count as success.
        confidence: probability of the interval, between 0 and 1.

    Raises:
        InputError: if there is no run, one is not consistent, or the confidence does not fit.

    Example:
        >>> runs = [Run([5], ["CCO"], [-10.0]), Run([5], ["COC"], [-9.0])]
        >>> success_curve(runs, [1, 5], best=-10.0).value
        array([0. , 0.5])
    """
    at = np.asarray(cost, np.float64)
    first = np.array([_success_cost(run, best + within) for run in _checked(runs)])
    share = _reached(first, at) / len(runs)
    low, high = _wilson(share, len(runs), confidence)
    return Curve(at, share, low, high)


def _first_costs(run: Run) -> np.ndarray:
    """Return at what cost each distinct molecule was first found."""
    first: dict[str, float] = {}
    for cost, smiles in zip(run.cost, run.smiles, strict=True):
        if smiles is not None:
            first[smiles] = min(float(cost), first.get(smiles, np.inf))
    return np.array(list(first.values()))


def _success_cost(run: Run, limit: float) -> float:
    """Return the lowest cost of a molecule whose energy is within the limit; infinite if none."""
    cost, energy = np.asarray(run.cost, np.float64), np.asarray(run.energy, np.float64)
    known = np.array([smiles is not None for smiles in run.smiles], bool)
    return float(cost[known & (energy <= limit)].min(initial=np.inf))


def _reached(first: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Count how many costs are within each of ``at (n_points,)``."""
    counts: np.ndarray = np.searchsorted(np.sort(first), at, side="right").astype(np.float64)
    return counts


def _wilson(share: np.ndarray, n: int, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import ndtri

    z = float(ndtri(_tails(confidence)[1]))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _tails(confidence: float) -> list[float]:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be between 0 and 1, not {confidence!r}")
    return [(1 - confidence) / 2, (1 + confidence) / 2]


def _checked(runs: Sequence[Run]) -> Sequence[Run]:
    if not runs:
        raise InputError("there are no runs; give at least one")
    for i, run in enumerate(runs):
        if not len(run.cost) == len(run.smiles) == len(run.energy):
            raise InputError(f"run {i} must have one cost, SMILES and energy of each molecule")
    return runs
