"""Evaluation of a policy while it is trained: complete episodes from fixed seeds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from molrl.agents.generator import draw_actions
from molrl.agents.interface import PolicyNetwork
from molrl.chemistry.bonds import validity
from molrl.envs.problem import Problem
from molrl.envs.rules import Reason, transition
from molrl.envs.spaces import observe
from molrl.molecules import MoleculeBatch


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
    """

    problem: Problem
    n_episodes: int
    seed: int
    reference: float | None

    def fraction(self, value: float) -> float | None:
        """Return a return over that of the best known isomer; None without a reference."""
        return None if self.reference is None else value / self.reference

    def evaluate(self, network: PolicyNetwork) -> dict[str, float | int | None]:
        """Return the figures of a policy.

        Args:
            network: of the policy; it is in the mode it was in at the end.

        Returns:
            ``return`` (eV, mean over all episodes), ``return_fraction`` (None without a reference),
            ``complete_fraction``, ``valid_fraction`` (of all episodes) and ``distinct``, the number
            of distinct valid molecules.
        """
        training = network.training
        returns, molecules = self._play(network.eval())
        network.train(training)
        found = validity(molecules) if len(molecules) else None
        smiles = [s for s, ok in zip(found.smiles, found.valid, strict=True) if ok] if found else []
        mean = float(np.mean(returns))
        return {
            "return": mean,
            "return_fraction": self.fraction(mean),
            "complete_fraction": len(molecules) / self.n_episodes,
            "valid_fraction": len(smiles) / self.n_episodes,
            "distinct": len(set(smiles)),
        }

    def _play(self, network: PolicyNetwork) -> tuple[NDArray[np.float64], MoleculeBatch]:
        """Return the return of every episode, eV, and the molecules of the complete ones."""
        problem, n = self.problem, self.n_episodes
        streams = [np.random.default_rng([self.seed, i]) for i in range(n)]
        state = problem.initial_state([problem.draw(stream, problem.task) for stream in streams])
        returns, complete, active = np.zeros(n), np.zeros(n, bool), np.arange(n)
        while len(active):
            noise = np.stack([streams[i].random(network.n_noise) for i in active])
            actions = draw_actions(network, observe(state[active], problem.layout), noise)
            outcome = transition(state[active], actions, problem.context)
            state = state.updated(active, outcome.state)
            returns[active] += outcome.reward
            complete[active] = outcome.reason == Reason.COMPLETE
            active = active[outcome.reason == Reason.ONGOING]
        return returns, state[np.flatnonzero(complete)].to_molecules()
