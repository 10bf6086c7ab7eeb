"""Evaluation of a policy while it is trained: complete episodes from fixed seeds."""

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from molrl.agents.generator import draw_actions
from molrl.agents.interface import PolicyNetwork
from molrl.chemistry.bonds import bonded_atoms, validity
from molrl.energy.relaxation import relax
from molrl.envs.problem import Problem
from molrl.envs.rules import Reason, transition
from molrl.envs.spaces import observe
from molrl.molecules import MoleculeBatch

MAX_RELAXED = 16  # valid molecules per evaluation whose strain is computed
MAX_STEPS = 100  # of their relaxation


@dataclass(frozen=True)
class PolicyEvaluator:
    """Episodes of the stochastic policy, with the same draws at every evaluation.

    Episode i has its own stream, ``numpy.random.default_rng([seed, i])``; no other generator is
    used.

    Args:
        problem: task, energy model and rules.
        n_episodes: number of episodes, all in one batch.
        seed: of the streams.
        reference: eV, the return of the best known isomer; None if there is none to compare with.
        temperature: of the sampling, as of :meth:`PolicyNetwork.act_tempered`.
    """

    problem: Problem
    n_episodes: int
    seed: int
    reference: float | None
    temperature: float = 1.0

    def fraction(self, value: float) -> float | None:
        """Return a return over that of the best known isomer; None without a reference."""
        return None if self.reference is None else value / self.reference

    def evaluate(self, network: PolicyNetwork) -> dict[str, float | int | None]:
        """Return the figures of a policy.

        Args:
            network: of the policy; it is in the mode it was in at the end.

        Returns:
            ``return`` (eV, mean over all episodes), ``return_fraction`` (None without a reference),
            ``complete_fraction``, ``valid_fraction`` (of all episodes), ``distinct``, the number of
            distinct valid molecules, ``strain`` (eV, median over the first valid ones, above the
            relaxed geometry under the energy model of the reward) and ``bond_length`` (mean over
            the bonds of the valid ones, in units of the sum of the covalent radii); the last two
            are None if there are no valid molecules.
        """
        training = network.training
        returns, molecules = self._play(network.eval())
        network.train(training)
        found = validity(molecules) if len(molecules) else None
        valid = np.flatnonzero(found.valid) if found else np.zeros(0, int)
        smiles = [found.smiles[i] for i in valid] if found else []
        mean = float(np.mean(returns))
        return {
            "return": mean,
            "return_fraction": self.fraction(mean),
            "complete_fraction": len(molecules) / self.n_episodes,
            "valid_fraction": len(smiles) / self.n_episodes,
            "distinct": len(set(smiles)),
            "strain": self._strain(molecules[valid[:MAX_RELAXED]]) if len(valid) else None,
            "bond_length": mean_bond_length(molecules[valid]) if len(valid) else None,
        }

    def _strain(self, molecules: MoleculeBatch) -> float:
        relaxed = relax(molecules, self.problem.energy_model, max_steps=MAX_STEPS)
        return float(np.median((relaxed.start_energy - relaxed.energy).numpy()))

    def _play(self, network: PolicyNetwork) -> tuple[NDArray[np.float64], MoleculeBatch]:
        """Return the return of every episode, eV, and the molecules of the complete ones."""
        problem, n = self.problem, self.n_episodes
        streams = [np.random.default_rng([self.seed, i]) for i in range(n)]
        state = problem.initial_state([problem.draw(stream, problem.task) for stream in streams])
        returns, complete, active = np.zeros(n), np.zeros(n, bool), np.arange(n)
        while len(active):
            noise = np.stack([streams[i].random(network.n_noise) for i in active])
            actions = draw_actions(
                network, observe(state[active], problem.layout), noise, self.temperature
            )
            outcome = transition(state[active], actions, problem.context)
            state = state.updated(active, outcome.state)
            returns[active] += outcome.reward
            complete[active] = outcome.reason == Reason.COMPLETE
            active = active[outcome.reason == Reason.ONGOING]
        return returns, state[np.flatnonzero(complete)].to_molecules()


def mean_bond_length(molecules: MoleculeBatch) -> float:
    """Return the mean length of all bonds, each in units of the sum of its covalent radii.

    Args:
        molecules: at least one with a bond.
    """
    ratios = []
    for (numbers, positions), bonds in zip(
        molecules.arrays(), bonded_atoms(molecules), strict=True
    ):
        first, second = bonds.T
        lengths = np.linalg.norm(positions[first] - positions[second], axis=-1)
        radii = covalent_radii[numbers[first]] + covalent_radii[numbers[second]]
        ratios += (lengths / radii).tolist()
    return float(np.mean(ratios))
