"""Agents on scaffolds, linkers, shapes and clusters, beside random placement: what they solve.

python experiments/benchmarks/solved_tasks.py

One that was stopped goes on with the task it was in.
"""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from kept_rows import KeptRows, Row
from numpy.typing import NDArray
from record import record

from molrl.agents.generator import AgentGenerator
from molrl.agents.random import RandomAgent
from molrl.chemistry.bonds import validity
from molrl.cli.experiment import ExperimentConfig
from molrl.generation import Generator, NotCompleted
from molrl.molecules import MoleculeBatch
from molrl.runs.config import load_config
from molrl.structures.hydrogen_bonds import find_acceptors, find_donors
from molrl.structures.structure import Structure, find_bonds
from molrl.tasks import Task

ROOT = Path(__file__).parents[2]
N_MOLECULES = 100
WITHIN = 0.5  # Å, of an atom from the points of a shape
BOND = 2.5  # Å, longest hydrogen bond, from the hydrogen to the acceptor
STRAIGHT = 120.0  # degrees, smallest angle at the hydrogen

FIGURES = "episodes completed", "solved, of completed", "solved, of episodes"

Solved = Callable[[Task, MoleculeBatch], NDArray[np.bool_]]


def valid(task: Task, molecules: MoleculeBatch) -> NDArray[np.bool_]:
    """Return which molecules are one whole, with all valences satisfied."""
    return validity(molecules).valid


def valid_within(task: Task, molecules: MoleculeBatch) -> NDArray[np.bool_]:
    """Return which molecules are valid, with all atoms at the points of the shape."""
    points = task.examples[0].shape
    far = [
        np.linalg.norm(positions[:, None] - points, axis=-1).min(1).max()
        for _, positions in molecules.arrays()
    ]
    return valid(task, molecules) & (np.array(far) < WITHIN)


def bonded_by_hydrogen(task: Task, molecules: MoleculeBatch) -> NDArray[np.bool_]:
    """Return which clusters are whole molecules with a hydrogen bond for each of the solvent."""
    n_solvent = task.examples[0].refills + 1
    whole = np.array([each == f"{n_solvent + 1} fragments" for each in validity(molecules).reasons])
    counts = [count_hydrogen_bonds(*arrays) for arrays in molecules.arrays()]
    return whole & (np.array(counts) >= n_solvent)


def count_hydrogen_bonds(numbers: NDArray[np.int64], positions: NDArray[np.float64]) -> int:
    """Return the number of hydrogens that form a hydrogen bond."""
    structure = Structure(numbers, positions, "cluster", "")
    bonds, acceptors = find_bonds(structure), find_acceptors(structure)
    found = 0
    for donor, hydrogen in find_donors(structure):
        others = acceptors[(acceptors != donor) & ~bonds[hydrogen, acceptors]]
        to, back = positions[others] - positions[hydrogen], positions[donor] - positions[hydrogen]
        lengths = np.linalg.norm(to, axis=1)
        cosines = to @ back / (lengths * np.linalg.norm(back))
        found += bool(((lengths < BOND) & (cosines < np.cos(np.radians(STRAIGHT)))).any())
    return found


TASKS: dict[str, tuple[str, Solved]] = {
    "scaffold": ("substituted and valid", valid),
    "linker": ("linked and valid", valid),
    "shape": (f"valid and within {WITHIN} Å of the shape", valid_within),
    "cluster": ("a hydrogen bond for each solvent molecule", bonded_by_hydrogen),
}


def row(name: str, generator: Generator, task: Task) -> Row:
    """Return the figures of molecules that a generator makes."""
    what, solved = TASKS[name]
    figures: Row = {"task": str(task), "agent": generator.name, "solved means": what}
    try:
        made = generator.generate(task, N_MOLECULES, 0)
    except NotCompleted:
        return figures | dict.fromkeys(FIGURES, 0.0)
    n_solved = int(solved(task, made.molecules).sum())
    values = np.array([N_MOLECULES, n_solved, n_solved]) / [
        made.attempts,
        N_MOLECULES,
        made.attempts,
    ]
    return figures | dict(zip(FIGURES, values.tolist(), strict=True))


def outcome(name: str) -> list[Row]:
    """Train an agent by its config, and return its figures and those of random placement."""
    file, folder = f"experiments/tasks/{name}.yaml", f"runs/benchmarks/{name}"
    command = [sys.executable, "-m", "molrl.cli.main", "train", file, f"run_dir={folder}"]
    command += ["evaluation.n_molecules=10"]  # that of this benchmark is another
    subprocess.run(command, cwd=ROOT, check=True, stderr=sys.stderr)
    config = load_config(ROOT / file, [], ExperimentConfig)
    agents: list[Generator] = [AgentGenerator(ROOT / folder), RandomAgent(config.energy)]
    return [row(name, agent, config.task) for agent in agents]


def main() -> None:
    kept, rows = KeptRows(ROOT / "runs/benchmarks/solved_tasks.jsonl"), []
    for name in TASKS:
        rows += kept.get(name, partial(outcome, name))
        record("solved_tasks", f"{N_MOLECULES} molecules of each agent, beside random ones", rows)


if __name__ == "__main__":
    main()
