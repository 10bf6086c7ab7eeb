"""The curves of a comparison: discovery, success, and what a molecule costs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from molrl.comparison.config import REAL
from molrl.comparison.figures import Results, calls_per_distinct
from molrl.comparison.units import Unit
from molrl.evaluation.statistics import Curve, Run, discovery_curve, success_curve
from molrl.plotting.comparison import Panel, plot_panels

N_POINTS = 400
COSTS = {"energy_calls": "energy evaluations per task", "seconds": "seconds per task"}


def plot_curves(results: Results, path: Path | str, task: str | None = None) -> None:
    """Write the curves of a comparison as a PNG of four panels.

    They are the distinct valid molecules of a run against energy evaluations and against time, all
    tasks added up; the share of runs, of all tasks, that are near the best known isomer; and the
    energy evaluations for a molecule against how many are made, with those of the training. A curve
    ends with the budget, or where the last of its runs ended; it then has the values of the table.

    Args:
        results: the finished runs.
        path: the PNG.
        task: of the runs, as a string; all if None.
    """
    methods = [name for name in results.methods if name != REAL and results.of(name, task)]
    single = task or (results.tasks[0] if len(results.tasks) == 1 else None)
    found = "distinct valid molecules" + ("" if single else ", all tasks")
    panels = [
        Panel(
            discovery_curves(results, methods, task, "energy_calls"), COSTS["energy_calls"], found
        ),
        Panel(discovery_curves(results, methods, task, "seconds"), COSTS["seconds"], found),
        Panel(
            success_curves(results, methods, task),
            COSTS["energy_calls"],
            f"share of runs within {results.config.within:g} eV of the best",
            top=1.02,
        ),
    ]
    if not task:
        panels.append(
            Panel(
                amortised_costs(results),
                "distinct valid molecules made",
                "evaluations per molecule, with training",
                log=True,
            )
        )
    known = sum(len(results.known(each)) for each in results.tasks if task in (None, each))
    title = f"{single or f'{len(results.tasks)} tasks'}, {results.config.energy}"
    marks = {found: (known, "known isomers")} if known else {}
    plot_panels(panels, path, title, marks)


def discovery_curves(
    results: Results, methods: Sequence[str], task: str | None, cost: str
) -> dict[str, Curve]:
    """Return what the runs of a seed found on all tasks together, averaged over the seeds.

    Args:
        results: the finished runs.
        methods: the names of the rows, each with a run.
        task: of the runs, as a string; all if None.
        cost: one of :data:`COSTS`.

    Returns:
        By method the distinct valid molecules.
    """
    curves = {}
    for name in methods:
        units = results.of(name, task)
        by_seed = [
            _pooled([_as_run(results, unit, cost) for unit in units if unit.seed == seed])
            for seed in sorted({unit.seed for unit in units})
        ]
        curves[name] = discovery_curve(by_seed, _points(results, units, cost))
    return curves


def success_curves(results: Results, methods: Sequence[str], task: str | None) -> dict[str, Curve]:
    """Return the share of runs that came near the best known isomer, of tasks of one formula.

    Args:
        results: the finished runs.
        methods: the names of the rows.
        task: of the runs, as a string; all if None.

    Returns:
        By method; without those that have no such run.
    """
    cost, within = "energy_calls", results.config.within
    curves = {}
    for name in methods:
        units = [each for each in results.of(name, task) if each.task in results.of_one_formula]
        if units:
            runs = [_as_run(results, unit, cost) for unit in units]
            points = _points(results, units, cost)
            curves[name] = success_curve(runs, points, best=0.0, within=within)
    return curves


def amortised_costs(results: Results) -> dict[str, Curve]:
    """Return the energy evaluations per distinct valid molecule, the training included.

    The cost without training is that within the budget, and is taken not to change with the
    number.

    Args:
        results: the finished runs.

    Returns:
        By method, with the number of molecules as cost; those that found nothing, or whose training
        is unknown, are left out.
    """
    numbers = np.logspace(0, 6, N_POINTS)
    curves = {}
    for name in results.config.methods:
        each, training = calls_per_distinct(results, name), results.training.get(name)
        if each is not None and training is not None:
            value = each + training / numbers
            curves[name] = Curve(numbers, value, value, value)
    return curves


def _points(results: Results, units: Sequence[Unit], cost: str) -> np.ndarray:
    """Return the costs of a curve, up to the last that counts.

    A run that ended before has what it had found.
    """
    last = max(getattr(unit, cost) for unit in units)
    if cost == "energy_calls" and results.config.energy_calls is not None:
        last = min(last, results.config.energy_calls)
    return np.linspace(0, last, N_POINTS)


def _as_run(results: Results, unit: Unit, cost: str) -> Run:
    """Return a run with the identities of its valid molecules, and energies above the best."""
    rows = unit.final
    when = unit.calls_when_found if cost == "energy_calls" else unit.seconds_when_found
    smiles = [
        f"{unit.task} {each}" if ok and each else None
        for each, ok in zip(rows.smiles, rows.valid, strict=True)
    ]
    costs = np.minimum(when, getattr(unit, cost))  # the seconds are rounded, perhaps up
    return Run(costs, smiles, results.above_best(unit))


def _pooled(runs: Sequence[Run]) -> Run:
    """Return runs on several tasks as one, each cost being that of every task."""
    return Run(
        np.concatenate([np.asarray(run.cost, np.float64) for run in runs]),
        [smiles for run in runs for smiles in run.smiles],
        np.concatenate([np.asarray(run.energy, np.float64) for run in runs]),
    )
