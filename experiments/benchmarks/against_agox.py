"""AGOX's random search and basin hopping beside those of this package: what the same budget finds.

python experiments/benchmarks/against_agox.py

AGOX (Christiansen, Rønne and Hammer, J. Chem. Phys. 157, 054701 (2022)) is free software under the
GPL. The package neither imports nor ships it; install it into an environment of its own, where
this script runs:

python -m venv agox && agox/bin/pip install . "agox==3.11.1" "ase<3.28"

Both relax with ``mace``, to the same force and with the same number of steps, and all energy
evaluations are counted. AGOX relaxes one structure after another with the BFGS of ASE. Its other
settings are those of its own examples. A run that was stopped is begun again; those that have
finished are kept.
"""

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from record import RESULTS, record

import molrl
from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.comparison.config import REAL, CompareConfig
from molrl.comparison.figures import Results
from molrl.comparison.methods import Room
from molrl.comparison.run import Comparison
from molrl.comparison.units import Unit
from molrl.energy import EnergyModel
from molrl.energy.calculator import EnergyCalculator
from molrl.evaluation.statistics import Curve, Run, discovery_curve, success_curve
from molrl.generation import Generated
from molrl.generators.search.budget import FEWEST_STEPS
from molrl.generators.search.generator import FORCE_TOLERANCE, MAX_STEPS
from molrl.molecules import MoleculeBatch
from molrl.plotting.comparison import Panel, plot_panels
from molrl.runs.progress import progress
from molrl.runs.ranks import Ranks
from molrl.tasks import Task

BAGS = ("C3H8O", "C4H7N", "C5H9NO")
OURS = ("covariant", "random-search", "basin-hopping")
WITHIN = (0.1, 0.5)  # eV above the best known isomer
CELL, BOX = 16.0, 8.0  # Å, edges of the cell and of the cube in it that atoms are placed in
TEMPERATURE = 0.25  # eV, of the criterion of Metropolis; as in AGOX's examples
N_POINTS = 400


class AgoxSearch(ABC):
    """A search by AGOX in an empty cell as a row of a comparison, one structure after another.

    Args:
        energy: the energy model.
    """

    def __init__(self, energy: EnergyModel) -> None:
        self._energy = energy

    @abstractmethod
    def _modules(self, shared: dict[str, Any]) -> list[Any]:
        """Return AGOX's generator, and its sampler if it has one."""

    def batches(self, task: Task, seed: int, room: Callable[[], Room]) -> Iterator[Generated]:
        """Yield a batch for each structure; see :class:`molrl.comparison.methods.Method`."""
        assert task.single_bag is not None
        with TemporaryDirectory() as folder:
            agox, evaluator = self._build(task.single_bag, seed, folder)
            while (left := room().energy_calls - 2) > FEWEST_STEPS:  # with one of the comparison
                before, began = self._energy.evaluations, perf_counter()
                evaluator.optimizer_run_kwargs["steps"] = min(MAX_STEPS, left)
                with redirect_stdout(StringIO()):
                    agox.run(N_iterations=1)
                found = molecules_at_minima(evaluator.evaluated_candidates)
                calls = self._energy.evaluations - before
                yield Generated(found, 1, calls, 0, perf_counter() - began)

    def _build(self, bag: Bag, seed: int, folder: str) -> tuple[Any, Any]:
        """Return AGOX's search and its evaluator, as in the example of a cluster."""
        from agox import AGOX
        from agox.databases import Database
        from agox.environments import Environment
        from agox.evaluators import LocalOptimizationEvaluator
        from ase import Atoms

        with chdir(folder), redirect_stdout(StringIO()):  # it draws the box into the folder
            environment = Environment(
                template=Atoms("", cell=np.eye(3) * CELL),
                symbols=bag.formula,
                confinement_cell=np.eye(3) * BOX,
                confinement_corner=np.full(3, (CELL - BOX) / 2),
            )
            evaluator = LocalOptimizationEvaluator(
                EnergyCalculator(self._energy),
                gets={"get_key": "candidates"},
                store_trajectory=False,
                optimizer_run_kwargs={"fmax": FORCE_TOLERANCE, "steps": MAX_STEPS},
                constraints=environment.get_constraints(),
                order=2,
            )
            shared = {**environment.get_confinement(), "environment": environment}
            database = Database(filename=str(Path(folder, "structures.db")), order=4)
            modules = [*self._modules(shared), evaluator, database]
            return AGOX(*modules, seed=seed), evaluator


class AgoxRandomSearch(AgoxSearch):
    """AGOX's random structure search."""

    def _modules(self, shared: dict[str, Any]) -> list[Any]:
        from agox.generators import RandomGenerator

        return [RandomGenerator(**shared, order=1)]


class AgoxBasinHopping(AgoxSearch):
    """AGOX's basin hopping."""

    def _modules(self, shared: dict[str, Any]) -> list[Any]:
        from agox.generators import RattleGenerator
        from agox.samplers import MetropolisSampler

        sampler = MetropolisSampler(temperature=TEMPERATURE, order=3)
        return [RattleGenerator(**shared, sampler=sampler, order=1), sampler]


THEIRS = {"agox-random-search": AgoxRandomSearch, "agox-basin-hopping": AgoxBasinHopping}


def molecules_at_minima(candidates: list[Any]) -> MoleculeBatch:
    """Return those that the searches of this package count: closed-shell, whole and relaxed."""
    relaxed = [each for each in candidates if np.abs(each.get_forces()).max() <= FORCE_TOLERANCE]
    molecules = MoleculeBatch.from_ase(relaxed)
    return molecules[validity(molecules).valid.nonzero()[0].tolist()] if relaxed else molecules


def compare(args: argparse.Namespace) -> Results:
    """Run what has not finished, and return all runs."""
    for name, kind in THEIRS.items():
        molrl.register("generator", name, kind)
    config = CompareConfig(
        run_dir=args.run_dir,
        tasks=tuple(args.bags),
        methods=[*OURS, *THEIRS],
        seeds=args.seeds,
        energy_calls=args.energy_calls,
        batch_size=8,
        force_tolerance=FORCE_TOLERANCE,
        within=WITHIN[0],
    )
    comparison = Comparison(config, Ranks())
    for name in THEIRS:  # they go on from batch to batch, as the walkers of a search do
        comparison.methods[name] = comparison.methods[name].generator
    with progress(len(comparison.keys), "compare") as bar:
        comparison.run(lambda step, _: bar.update(step))
    units = [Unit.load(comparison.folder(key)) for key in comparison.keys]
    return Results(config, units, {})


def as_run(results: Results, unit: Unit) -> Run:
    """Return what a run found and when, in energy evaluations."""
    rows = unit.final
    smiles = [
        f"{unit.task} {each}" if ok else None
        for each, ok in zip(rows.smiles, rows.valid, strict=True)
    ]
    return Run(unit.calls_when_found, smiles, results.above_best(unit))


def success(results: Results, name: str, within: float) -> Curve:
    """Return the share of the runs of a method that came near the best known isomers."""
    runs = [as_run(results, unit) for unit in results.of(name)]
    points = np.linspace(0, results.config.energy_calls, N_POINTS)
    return success_curve(runs, points, best=0.0, within=within)


def discovery(results: Results, name: str, task: str) -> Curve:
    """Return the distinct valid isomers of a bag that a run of a method found, on average."""
    runs = [as_run(results, unit) for unit in results.of(name, task)]
    return discovery_curve(runs, np.linspace(0, results.config.energy_calls, N_POINTS))


def plot(results: Results) -> None:
    """Write the curves of all methods."""
    methods, cost = list(results.config.methods), "energy evaluations"
    panels = [
        Panel(
            {name: success(results, name, within) for name in methods},
            cost,
            f"share of runs within {within:g} eV of the best",
            top=1.02,
        )
        for within in WITHIN
    ]
    panels += [
        Panel(
            {name: discovery(results, name, task) for name in methods},
            cost,
            f"distinct valid isomers of {task}",
        )
        for task in results.tasks[-2:]
    ]
    seeds = len(results.config.seeds)
    title = f"{', '.join(results.tasks)}, {seeds} runs each, {results.config.energy}"
    plot_panels(panels, RESULTS / "agox.png", title)


def row_of(results: Results, name: str, task: str) -> dict[str, object]:
    """Return the figures of a method on a bag."""
    units, known = results.of(name, task), results.known(task)
    runs = [as_run(results, unit) for unit in units]
    found = [{each for each in run.smiles if each} for run in runs]
    near = {
        f"runs within {within:g} eV": f"{sum((run.energy <= within).any() for run in runs)}"
        f" of {len(runs)}"
        for within in WITHIN
    }
    return {
        "bag": task,
        "method": name,
        "energy evaluations": round(np.mean([unit.energy_calls for unit in units])),
        "structures": round(np.mean([unit.attempts for unit in units])),
        "molecules": round(np.mean([len(run.smiles) for run in runs]), 1),
        "distinct valid": round(np.mean([len(each) for each in found]), 1),
        f"of {REAL}": f"{len(results.distinct(name, task) & known)} of {len(known)}",
        **near,
        "CPU s": round(np.mean([unit.cpu_seconds for unit in units]), 1),
    }


def main() -> None:
    """Run all searches, and write the table and the curves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bags", nargs="+", default=BAGS)
    parser.add_argument("--seeds", type=int, default=3, help="number of runs of each")
    parser.add_argument("--energy-calls", type=int, default=3000)
    parser.add_argument("--run-dir", type=Path, default=Path("runs/agox"))
    args = parser.parse_args()
    results = compare(args)
    rows = [
        row_of(results, name, task) for task in results.tasks for name in results.config.methods
    ]
    title = (
        f"AGOX 3.11.1 beside the searches of this package: means of {args.seeds} runs of "
        f"{args.energy_calls:,} evaluations of mace each, relaxations included"
    )
    record("agox", title, rows)
    plot(results)


if __name__ == "__main__":
    main()
