from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, trim_mean

from molrl.errors import InputError
from molrl.evaluation.statistics import (
    Run,
    discovery_curve,
    interquartile_mean,
    stratified_interval,
    success_curve,
)


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    found = []
    for n in (0, 7, 30, 31):
        names = [["C", "CO", "CC", "CN", None][i] for i in rng.integers(5, size=n)]
        energy = rng.normal(size=n)
        energy[n // 2 :: 7] = np.nan
        found.append(Run(rng.integers(1, 50, size=n).astype(float), names, energy))
    return found


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (5, 4), (8, 7)])
def test_interquartile_mean_is_the_trimmed_mean(shape):
    scores = np.random.default_rng(1).normal(size=shape)
    assert interquartile_mean(scores) == pytest.approx(trim_mean(scores, 0.25, axis=None))


def test_stratified_interval_is_near_that_of_all_resamples():
    scores = np.array([[0.1, 0.9], [0.4, 0.7], [0.2, 0.2]])
    columns = [list(product(column, repeat=3)) for column in scores.T]
    exact = [np.mean([*a, *b]) for a, b in product(*columns)]
    found = stratified_interval(scores, statistic=np.mean)
    assert found.estimate == pytest.approx(scores.mean())
    assert found[1:] == pytest.approx(np.quantile(exact, [0.025, 0.975]), abs=0.02)


def test_stratified_interval_never_mixes_tasks():
    scores = np.array([[0.0, 1.0]] * 4)  # the seeds agree, and the tasks differ
    assert stratified_interval(scores, np.mean) == (0.5, 0.5, 0.5)


def test_stratified_interval_of_normal_scores_covers_their_mean():
    covered = 0
    for trial in range(60):
        scores = np.random.default_rng(trial).normal(size=(20, 1))
        low, high = stratified_interval(scores, np.mean, confidence=0.8)[1:]
        covered += low <= 0 <= high
    assert 0.6 < covered / 60 < 0.95


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((0, 2)), np.array([[np.nan]])])
def test_stratified_interval_refuses_scores_that_do_not_fit(scores):
    with pytest.raises(InputError, match="n_seeds, n_tasks"):
        stratified_interval(scores)


def test_stratified_interval_refuses_a_confidence_in_percent():
    with pytest.raises(InputError, match="between 0 and 1, not 95"):
        stratified_interval(np.zeros((2, 2)), confidence=95)


def test_discovery_curve_counts_distinct_molecules(runs):
    cost = np.arange(0, 60)
    counts = [
        [
            len({s for c, s in zip(run.cost, run.smiles, strict=True) if s and c <= at})
            for run in runs
        ]
        for at in cost
    ]
    curve = discovery_curve(runs, cost)
    np.testing.assert_allclose(curve.value, np.mean(counts, axis=1))
    assert (curve.low <= curve.value).all()
    assert (curve.value <= curve.high).all()
    assert curve.low[-1] < curve.high[-1]


def test_success_curve_counts_runs_near_the_best(runs):
    cost, limit = np.arange(0, 60), -1.0 + 0.5
    share = [
        np.mean(
            [
                any(
                    c <= at and s is not None and e <= limit
                    for c, s, e in zip(run.cost, run.smiles, run.energy, strict=True)
                )
                for run in runs
            ]
        )
        for at in cost
    ]
    curve = success_curve(runs, cost, best=-1.0, within=0.5)
    np.testing.assert_allclose(curve.value, share)
    assert 0 < curve.value[-1] < 1
    for value, low, high in zip(curve.value, curve.low, curve.high, strict=True):
        wilson = binomtest(round(4 * value), 4).proportion_ci(0.95, method="wilson")
        assert (low, high) == pytest.approx((wilson.low, wilson.high), abs=1e-12)


def test_curves_refuse_runs_that_do_not_fit():
    for curve in (lambda runs: discovery_curve(runs, [1]), lambda r: success_curve(r, [1], 0.0)):
        with pytest.raises(InputError, match="no runs"):
            curve([])
        with pytest.raises(InputError, match="run 0 must have one cost"):
            curve([Run([1.0], [], [])])
