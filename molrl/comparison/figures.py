"""The figures of a comparison: of runs pooled by method and task, and their costs."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from molrl.comparison.config import REAL, CompareConfig
from molrl.comparison.units import STAGES, Rows, Unit

SCHEMA_VERSION = 1
BASELINE = "random-search"  # generator that a training must beat


@dataclass(frozen=True)
class Results:
    """Finished runs of a comparison.

    Attributes:
        config: of the comparison.
        units: the runs.
        training: energy evaluations of the training of each method; None if not known.
    """

    config: CompareConfig
    units: Sequence[Unit]
    training: Mapping[str, int | None]

    @property
    def methods(self) -> list[str]:
        """The names of the rows, the known isomers last."""
        return [*self.config.methods, REAL]

    @property
    def tasks(self) -> list[str]:
        """The tasks as strings."""
        return [str(task) for task in self.config.tasks]

    @property
    def stages(self) -> list[str]:
        """The stages at which molecules are compared."""
        return list(STAGES if self.config.relax else STAGES[:1])

    def of(self, method: str, task: str | None = None) -> list[Unit]:
        """Return the runs of a method, on one task or all.

        Args:
            method: the name of its row.
            task: as a string; all if None.
        """
        return [unit for unit in self.units if unit.method == method and task in (None, unit.task)]

    @cached_property
    def of_one_formula(self) -> set[str]:
        """The tasks whose molecules all have the same atoms, so that energies can be compared."""
        tasks = self.config.tasks
        return {str(task) for task in tasks if len(task.instances() or ()) == 1}

    @cached_property
    def best(self) -> dict[str, tuple[float, str]]:
        """Energy (eV, the evaluator's) and identity of the lowest molecule of each task.

        Only of tasks of one formula, and of valid molecules whose connectivity the evaluator's
        relaxation keeps, of any method or known.
        """
        found: dict[str, tuple[float, str]] = {}
        for unit in self.units:
            if unit.task not in self.of_one_formula:
                continue
            for rows in filter(None, (unit.generated, unit.relaxed)):
                found.update(_lowest(unit.task, rows, found.get(unit.task)))
        return found

    def known(self, task: str) -> set[str]:
        """Return the identities of the known isomers of a task, at the last stage.

        Args:
            task: as a string.
        """
        return {smiles for unit in self.of(REAL, task) for smiles in _valid(unit.final)}

    def distinct(self, method: str, task: str) -> set[str]:
        """Return the identities of all valid molecules of a method, at the last stage.

        Args:
            method: the name of its row.
            task: as a string.
        """
        return {smiles for unit in self.of(method, task) for smiles in _valid(unit.final)}

    def above_best(self, unit: Unit) -> np.ndarray:
        """Return the energies of molecules above the best of the task, at the last stage.

        Args:
            unit: the run.

        Returns:
            ``(n_molecules,)`` float64, eV; NaN where a molecule is not valid, its connectivity is
            not kept, it has no energy, or the task is not of one formula.
        """
        rows, best = unit.final, self.best.get(unit.task, (np.nan, ""))[0]
        usable = zip(rows.relaxed_energy, rows.valid, rows.kept, strict=True)
        return np.array([
            e - best if e is not None and valid and kept else np.nan for e, valid, kept in usable
        ])  # fmt: skip


def summarise(results: Results) -> dict[str, Any]:
    """Return ``summary.json`` of a comparison.

    Args:
        results: the finished runs.

    Returns:
        Plain data: ``methods`` by name, each with the figures of ``molrl evaluate`` for its
        molecules as ``generated`` and ``relaxed``, its costs, ``failures``, and its ``tasks``.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "energy": results.config.energy,
        "within": results.config.within,
        "amortised_over": results.config.amortised_over,
        "tasks": {task: _of_task(results, task) for task in results.tasks},
        "methods": {name: _of_method(results, name) for name in results.methods},
    }


def _of_task(results: Results, task: str) -> dict[str, Any]:
    energy, smiles = results.best.get(task, (None, None))
    known = results.known(task)
    return {"n_known": len(known), "best_energy": energy, "best_smiles": smiles}


def _of_method(results: Results, name: str) -> dict[str, Any]:
    units = results.of(name)
    training = 0 if name == REAL else results.training.get(name)
    return {
        **_pooled(results, units),
        "training_energy_calls": training,
        **_rates(results, name, training),
        "failures": _failures(units),
        "tasks": {
            task: {**_pooled(results, found), **_of_bag(results, name, task)}
            for task in results.tasks
            if (found := results.of(name, task))
        },
    }


def _pooled(results: Results, units: Sequence[Unit]) -> dict[str, Any]:
    """Return the figures of runs together."""
    return {
        **{stage: _stage(results, units, stage) for stage in results.stages},
        "n_runs": len(units),
        "n_tasks": len(_tasks_made(units)),
        "n_failed_runs": sum(bool(unit.failure) for unit in units),
        "success_fraction": _success(results, units),
        "generation_energy_calls": sum(unit.generation_energy_calls for unit in units),
        "energy_calls": sum(unit.energy_calls for unit in units),
        "network_calls": sum(unit.network_calls for unit in units),
        "seconds": sum(unit.seconds for unit in units),
        "cpu_seconds": sum(unit.cpu_seconds for unit in units),
    }


def _of_bag(results: Results, name: str, task: str) -> dict[str, Any]:
    found, known = results.distinct(name, task), results.known(task)
    per_run = [len(set(_valid(unit.final))) for unit in results.of(name, task)]
    return {
        "n_distinct_per_run": float(np.mean(per_run)),
        "n_known_found": len(found & known),
        "n_beyond_known": len(found - known),
        "failures": _failures(results.of(name, task)),
    }


def _stage(results: Results, units: Sequence[Unit], stage: str) -> dict[str, Any]:
    """Return the figures of ``molrl evaluate`` for the molecules of runs at one stage."""
    pairs = [(unit, rows) for unit in units if (rows := getattr(unit, stage)) is not None]
    parts = [rows for _, rows in pairs]
    valid = [ok for rows in parts for ok in rows.valid]
    n, n_valid, attempts = len(valid), sum(valid), sum(unit.attempts for unit, _ in pairs)
    kept = [k for rows in parts for k, ok in zip(rows.kept, rows.valid, strict=True) if ok]
    distinct = {(unit.task, smiles) for unit, rows in pairs for smiles in _valid(rows)}
    tasks = {unit.task for unit in units}
    one_formula = len(tasks) == 1 and tasks <= results.of_one_formula
    lowest: dict[str, tuple[float, str]] = {}
    for rows in parts:
        lowest.update(_lowest("", rows, lowest.get("")))
    energy, smiles = lowest.get("", (None, None)) if one_formula else (None, None)
    calls = "generation_energy_calls" if stage == STAGES[0] else "energy_calls"
    return {
        "schema_version": SCHEMA_VERSION,
        "n_molecules": n,
        "attempts": attempts,
        "n_valid": n_valid,
        "valid_fraction": n_valid / n if n else None,
        "valid_fraction_per_attempt": n_valid / attempts if attempts else None,
        "n_distinct": len(distinct),
        "unique_fraction": len(distinct) / n_valid if n_valid else None,
        "median_strain": _median(strain for rows in parts for strain in _strains(rows)),
        "median_rmsd": _median(x for rows in parts for x in rows.rmsd),
        "identity_kept_fraction": float(np.mean(kept)) if kept else None,
        "lowest_energy": energy,
        "lowest_smiles": smiles,
        "return_fraction": None,  # rewards differ from method to method
        "n_failed": sum(e is None for rows in parts for e in rows.energy),
        "invalid": dict(Counter(r for rows in parts for r in rows.reasons if r).most_common()),
        "energy_calls": sum(getattr(unit, calls) for unit in units),
        "evaluator": next((rows.evaluator for rows in parts if rows.evaluator), None),
    }


def _rates(results: Results, name: str, training: int | None) -> dict[str, Any]:
    """Return costs per distinct valid molecule of a run, with and without the training."""
    cost = calls_per_distinct(results, name)
    found = sum(len(set(_valid(unit.final))) for unit in results.of(name))
    calls = sum(unit.energy_calls for unit in results.of(name))
    seconds = sum(unit.cpu_seconds for unit in results.of(name))
    amortised = None
    if cost is not None and training is not None:
        amortised = cost + training / results.config.amortised_over
    return {
        "energy_calls_per_distinct": cost,
        "energy_calls_per_distinct_amortised": amortised,
        "distinct_per_1000_energy_calls": 1000 * found / calls if calls else None,
        "distinct_per_cpu_minute": 60 * found / seconds if seconds else None,
        "break_even": break_even(results, name),
    }


def calls_per_distinct(
    results: Results, name: str, tasks: Collection[str] | None = None
) -> float | None:
    """Return the energy calls for a distinct valid molecule of a run; None if there is none.

    Args:
        results: the finished runs.
        name: of the row of the method.
        tasks: of the runs, as strings; all if None.
    """
    units = [unit for unit in results.of(name) if tasks is None or unit.task in tasks]
    found = sum(len(set(_valid(unit.final))) for unit in units)
    return sum(unit.energy_calls for unit in units) / found if found else None


def costs_beside_baseline(results: Results, name: str) -> tuple[float, float] | None:
    """Return what a molecule costs a method and random search, on tasks of which both made some.

    Args:
        results: the finished runs.
        name: of the row of the method.

    Returns:
        The energy calls for a distinct valid molecule of each; None without a random search, or if
        one of the two found none on these tasks.
    """
    rows = results.config.methods.items()
    other = next((row for row, config in rows if config.kind == BASELINE), None)
    if other is None:
        return None
    both = _tasks_made(results.of(name)) & _tasks_made(results.of(other))
    cost, random = (calls_per_distinct(results, each, both) for each in (name, other))
    return None if cost is None or random is None else (cost, random)


def break_even(results: Results, name: str) -> int | None:
    """Return from how many distinct valid molecules on a training has cost less than it saves.

    It is compared with random search at the costs of :func:`costs_beside_baseline`.

    Args:
        results: the finished runs.
        name: of the row of the method.

    Returns:
        The number; None for a method without a training, one that cannot be compared, or one whose
        molecules cost as much as those of random search or more.
    """
    training, costs = results.training.get(name), costs_beside_baseline(results, name)
    if not training or costs is None:
        return None
    cost, random = costs
    return int(np.ceil(training / (random - cost))) if cost < random else None


def _tasks_made(units: Iterable[Unit]) -> set[str]:
    return {unit.task for unit in units if unit.final.smiles}


def _success(results: Results, units: Sequence[Unit]) -> float | None:
    """Return the share of runs, of tasks of one formula, that came near the best known isomer.

    A run without molecules did not, except that of a task of which no real molecules are known.
    """
    compared = [
        unit
        for unit in units
        if unit.task in results.of_one_formula and (unit.method != REAL or unit.final.smiles)
    ]
    near = [(results.above_best(unit) <= results.config.within).any() for unit in compared]
    return float(np.mean(near)) if near else None


def _failures(units: Iterable[Unit]) -> list[dict[str, Any]]:
    return [
        {
            "task": unit.task,
            "seed": unit.seed,
            "reason": unit.failure,
            "crashed": unit.crashed,
        }
        for unit in units
        if unit.failure
    ]


def _valid(rows: Rows) -> list[str]:
    """Return the identities of the valid molecules."""
    return [smiles for smiles, ok in zip(rows.smiles, rows.valid, strict=True) if ok and smiles]


def _lowest(
    task: str, rows: Rows, before: tuple[float, str] | None
) -> dict[str, tuple[float, str]]:
    """Return the lowest usable molecule so far by its task; empty if there is none."""
    usable = zip(rows.relaxed_energy, rows.smiles, rows.valid, rows.kept, strict=True)
    found = [(e, s) for e, s, ok, kept in usable if ok and kept and e is not None and s]
    every = [*found, *([before] if before else [])]
    return {task: min(every)} if every else {}


def _strains(rows: Rows) -> list[float | None]:
    pairs = zip(rows.energy, rows.relaxed_energy, strict=True)
    return [None if e is None or low is None else e - low for e, low in pairs]


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median, a missing value counted as infinite; None if it is not finite."""
    numbers = [np.inf if value is None else value for value in values]
    middle = float(np.median(numbers)) if numbers else np.inf
    return middle if np.isfinite(middle) else None
