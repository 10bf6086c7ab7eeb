"""MolGym's own tasks with its reward and rules, learned from nothing: the return against steps.

python experiments/benchmarks/molgym.py

One that was stopped goes on with the case it was in.

The energy is PM6. Simm et al. (2020) reach 90 % of the optimal return of the first three bags after
12,000 steps, Simm et al. (2021) build SOF4 and IF5 after 30,000 to 40,000.
"""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ase.units import Hartree
from kept_rows import KeptRows, Row
from numpy.typing import NDArray
from record import origin, record

from molrl.agents.config import parse_algorithm, parse_policy
from molrl.agents.interface import PolicyNetwork
from molrl.agents.training import AgentTraining
from molrl.energy import EnergyModel
from molrl.energy.relaxation import relax
from molrl.envs.problem import Problem
from molrl.envs.rules import Reason, transition
from molrl.envs.spaces import observe
from molrl.envs.vector import MolDesignVectorEnv
from molrl.molecules import MoleculeBatch

SEEDS = 0, 1, 2
COMPLEXES = ("SF6", "SOF4", "IF5")
# Ha, of the relaxed molecules by PM6: formamide, methanol, hydroxyketene, and the complexes.
OPTIMAL = {
    "CH3NO": 1.2600,
    "CH4O": 1.0286,
    "C2H2O2": 1.4789,
    "SF6": 0.8149,
    "SOF4": 0.9201,
    "IF5": 0.5249,
}
# Small rollouts: budgets of MolGym's size are a few updates of the default ones. Steps of the
# optimiser limit the learning, not those of the environments, so that there are many small ones.
ALGORITHMS: dict[str, dict[str, object]] = {
    "imitation": {
        "name": "imitation",
        "num_envs": 16,
        "batch_size": 16,
        "imitation_batch": 48,
        "n_epochs": 4,
    },
    "ppo": {"name": "ppo", "num_envs": 16, "batch_size": 64},
}
WINDOW = 5  # updates, 960 steps, whose episodes are averaged
MARKS = (0.25, 0.5, 0.75, 1.0)  # of the budget


@dataclass(frozen=True)
class Case:
    """A training."""

    bag: str
    algorithm: str
    policy: str
    seed: int

    @property
    def steps(self) -> int:
        """The budget."""
        return 15_000 if self.bag in COMPLEXES else 8_000

    @property
    def target(self) -> float:
        """The fraction of the optimal return that is to be reached."""
        return 0.95 if self.bag in COMPLEXES else 0.9

    @property
    def optimum(self) -> float:
        """The optimal return, eV."""
        return OPTIMAL[self.bag] * Hartree

    def training(self) -> AgentTraining:
        """Return the training."""
        algorithm = parse_algorithm(ALGORITHMS[self.algorithm])
        kind = "complex" if self.bag in COMPLEXES else "bag"
        env = MolDesignVectorEnv(
            algorithm.num_envs,
            "SameStep",
            task={"kind": kind, "bag": self.bag},
            energy="pm6",
            rules="molgym",
        )
        return AgentTraining(env, parse_policy(self.policy), algorithm, self.steps, self.seed)


BUILT = "CH3NO", "SF6", "SOF4", "CH4O", "C2H2O2", "IF5"
INTERNAL = "SOF4", "IF5", "CH3NO"
CASES = [
    *(Case(bag, "imitation", "covariant", SEEDS[0]) for bag in BUILT),
    *(Case(bag, "imitation", "internal", SEEDS[0]) for bag in INTERNAL),
    Case("CH3NO", "ppo", "covariant", SEEDS[0]),
    *(Case(bag, "imitation", "covariant", seed) for seed in SEEDS[1:] for bag in BUILT),
]


def curve_figures(case: Case, training: AgentTraining) -> dict[str, object]:
    """Train, and return figures of the mean returns of the episodes."""
    curve: list[tuple[int, float]] = []
    training.run(lambda step, figures: curve.append((step, figures["return"])))
    steps, returns = np.array(curve).T
    means = np.convolve(returns, np.ones(WINDOW) / WINDOW, "valid")
    fractions, steps = means / case.optimum, steps[WINDOW - 1 :]
    reached = steps[fractions >= case.target]
    return {
        "steps": case.steps,
        "target": case.target,
        "steps to target": int(reached[0]) if len(reached) else "-",
        **{f"at {mark:.0%}": float(fractions[steps <= mark * steps[-1]][-1]) for mark in MARKS},
        "energy evaluations": training.env.energy_model.evaluations,
    }


def errors(molecule: MoleculeBatch, model: EnergyModel) -> dict[str, object]:
    """Return how far a complex is from its relaxed geometry."""
    relaxed = relax(molecule, model, force_tolerance=0.01).molecules  # eV/Å
    (lengths, angles), (best, best_angles) = about_centre(molecule), about_centre(relaxed)
    return {
        "largest error of a bond, Å": float(np.abs(lengths - best).max()),
        "largest error of an angle, °": float(np.abs(angles - best_angles).max()),
    }


def play(problem: Problem, network: PolicyNetwork) -> tuple[float, MoleculeBatch]:
    """Return the return of a greedy episode, eV, and what it built."""
    state, total = problem.initial_state([problem.task.examples[0]]), 0.0
    while True:
        observation = observe(state, problem.layout)
        tensors = {key: torch.as_tensor(value) for key, value in observation.items()}
        with torch.no_grad():
            actions = network.act_greedily(tensors).actions.numpy()
        outcome = transition(state, actions, problem.context)
        state, total = outcome.state, total + float(outcome.reward[0])
        if outcome.reason[0] != Reason.ONGOING:
            return total, state.to_molecules()


def about_centre(molecule: MoleculeBatch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances from the heaviest atom, Å, and the angles at it, degrees."""
    ((numbers, positions),) = molecule.arrays()
    centre = numbers.argmax()
    vectors = np.delete(positions - positions[centre], centre, 0).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = (vectors @ vectors.T / np.outer(lengths, lengths))[np.triu_indices(len(lengths), 1)]
    return lengths, np.degrees(np.arccos(cosines.clip(-1, 1)))


def outcome(case: Case) -> list[Row]:
    """Train, and return the figures of the training, and of a complex that was built."""
    training = case.training()
    problem, about = training.env.problem, asdict(case)
    figures = curve_figures(case, training)
    value, molecule = play(problem, training.network.eval())
    fraction = {"greedy return fraction": value / case.optimum}
    rows: list[Row] = [about | figures | fraction | origin()]
    if case.bag in COMPLEXES and int(molecule.n_atoms[0]) == problem.task.max_atoms:
        rows.append(about | fraction | errors(molecule, problem.energy_model) | origin())
    return rows


def main() -> None:
    torch.set_num_threads(1)
    kept = KeptRows(Path("runs/benchmarks/molgym.jsonl"))
    curves, complexes = [], []
    for case in CASES:
        curve, *built = kept.get(str(case), partial(outcome, case))
        curves.append(curve)
        complexes += built
        record("molgym", "MolGym's reward (PM6), from nothing", curves)
        if complexes:
            record("molgym_complexes", "Molecules of the most probable actions", complexes)


if __name__ == "__main__":
    main()
