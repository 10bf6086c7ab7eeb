"""Rollouts of complete episodes, each with its own stream of random numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from molrl.envs.config import Rules
from molrl.envs.problem import Problem
from molrl.envs.rules import Reason, transition
from molrl.envs.spaces import Observation, observe
from molrl.generation import Generated, NotCompleted, check_request
from molrl.molecules import MoleculeBatch
from molrl.tasks import Task

BATCH_SIZE = 256  # molecules that are built at the same time
MAX_ATTEMPTS = 200  # per molecule, on average
ALLOWANCE = 1_000  # attempts without any molecule: a chance of 1 in 100 is missed once in 20,000


@dataclass(frozen=True)
class Actions:
    """What chooses actions.

    Attributes:
        choose: ``choose(observation, noise)`` returns actions ``(b, 5)`` for a batch of b canvases
            and uniform noise ``(b, n_noise)``.
        n_noise: number of random numbers of an action.
    """

    choose: Callable[[Observation, NDArray[np.float64]], NDArray[np.float32]]
    n_noise: int


@dataclass
class _Counts:
    """Counts so far, and the returns of the attempts in the order of their ends."""

    attempts: int = 0
    network_calls: int = 0
    returns: list[float] = field(default_factory=list)


def canvas_size(task: Task, rules: Rules) -> int:
    """Return the number of slots of the smallest canvas that takes the molecules of a task.

    Args:
        task: what to make.
        rules: of the environment; a canvas reaches as far as displacements of all its atoms.
    """
    extent = max(float(np.abs(each.shape).max(initial=0.0)) for each in task.examples)
    return max(task.max_atoms, 1 + math.ceil(extent / rules.max_displacement))


def generate(problem: Problem, act: Actions, n: int, seed: int) -> Generated:
    """Generate exactly ``n`` complete molecules; incomplete episodes are repeated and counted.

    Molecule i is drawn from its own stream, ``numpy.random.default_rng([seed, i])``, so that it
    does not depend on the others, except for rounding, which changes with the size of a batch.

    Args:
        problem: task, energy model and rules.
        act: what chooses the actions.
        n: number of molecules.
        seed: seed of the streams.

    Raises:
        InputError: if n is not positive, or the seed is negative.
        NotCompleted: if 200 episodes per molecule are not enough, or it is clear before the end.
    """
    check_request(n, seed)
    start, evaluated = perf_counter(), problem.energy_model.evaluations
    counts, parts = _Counts(), []
    for first in range(0, n, BATCH_SIZE):
        indices = range(first, min(n, first + BATCH_SIZE))
        streams = [np.random.default_rng([seed, i]) for i in indices]
        parts.append(_build(problem, act, streams, counts))
    return Generated(
        molecules=MoleculeBatch.cat(parts),
        attempts=counts.attempts,
        energy_calls=problem.energy_model.evaluations - evaluated,
        network_calls=counts.network_calls,
        seconds=perf_counter() - start,
        returns=counts.returns,
    )


def _build(
    problem: Problem, act: Actions, streams: list[np.random.Generator], counts: _Counts
) -> MoleculeBatch:
    """Return one molecule from each stream, and count the attempts, with their returns."""
    n = len(streams)
    instances = [problem.draw(stream, problem.task) for stream in streams]
    state = problem.initial_state(instances)
    total = np.zeros(n)
    active = np.arange(n)
    begun = counts.attempts
    counts.attempts += n
    while len(active):
        noise = np.stack([streams[i].random(act.n_noise) for i in active])
        actions = act.choose(observe(state[active], problem.layout), noise)
        outcome = transition(state[active], actions, problem.context)
        counts.network_calls += len(active)
        state = state.updated(active, outcome.state)
        total[active] += outcome.reward
        ended = outcome.reason != Reason.ONGOING
        counts.returns += total[active[ended]].tolist()
        incomplete = active[ended & (outcome.reason != Reason.COMPLETE)]
        if len(incomplete):
            again = problem.initial_state([instances[i] for i in incomplete])
            state = state.updated(incomplete, again)
            total[incomplete] = 0.0
            counts.attempts += len(incomplete)
        active = active[outcome.reason != Reason.COMPLETE]
        made, attempts = n - len(active), counts.attempts - begun
        if attempts > min(MAX_ATTEMPTS * n, n + ALLOWANCE + MAX_ATTEMPTS * made):
            raise NotCompleted(
                f"too few episodes place all atoms of {problem.task}: {made} of {attempts}; choose "
                "another task or method, or an agent that was trained longer",
                counts.attempts,
                counts.returns,
            )
    return state.to_molecules()
