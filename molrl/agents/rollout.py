"""Whole episodes, many side by side, each with a stream of random numbers of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from molrl.envs.rules import Reason, transition
from molrl.envs.spaces import Observation, observe
from molrl.envs.task import DesignTask, ResetOptions
from molrl.errors import InputError
from molrl.generation import Generated, NotCompleted
from molrl.molecules import MoleculeBatch

N_NOISE = 8  # uniform numbers that one action is drawn with
MAX_ATTEMPTS = 200  # for each molecule asked for, on average

Act = Callable[[Observation, NDArray[np.float64]], NDArray[np.float32]]


@dataclass
class _Progress:
    """What n molecules cost so far."""

    attempts: int = 0
    network_calls: int = 0


def generate(task: DesignTask, act: Act, n: int, seed: int, batch_size: int = 256) -> Generated:
    """Build exactly ``n`` whole bags; an episode that breaks off is begun again and counted.

    Molecule i draws from its own stream, ``numpy.random.default_rng([seed, i])``, so that it does
    not depend on the others, nor, but for rounding, on the batch size.

    Args:
        task: bag, energy and rules.
        act: ``act(observation, noise)`` gives actions ``(b, 5)`` for a batch of b canvases and
            uniform noise ``(b, N_NOISE)``.
        n: how many molecules.
        seed: of the streams.
        batch_size: molecules built side by side.

    Raises:
        InputError: if n is not positive, or 200 episodes for each molecule are not enough.
    """
    if n < 1:
        raise InputError(f"n is a number of molecules, at least 1, not {n}")
    start, evaluated = perf_counter(), task.energy_model.evaluations
    progress, returns, parts = _Progress(), [], []
    for first in range(0, n, batch_size):
        indices = range(first, min(n, first + batch_size))
        streams = [np.random.default_rng([seed, i]) for i in indices]
        molecules, batch_returns = _build(task, act, streams, progress)
        parts.append(molecules)
        returns += batch_returns
    return Generated(
        molecules=MoleculeBatch.cat(parts),
        attempts=progress.attempts,
        energy_calls=task.energy_model.evaluations - evaluated,
        network_calls=progress.network_calls,
        seconds=perf_counter() - start,
        returns=returns,
    )


def _build(
    task: DesignTask, act: Act, streams: list[np.random.Generator], progress: _Progress
) -> tuple[MoleculeBatch, list[float]]:
    """One whole molecule from each stream, and the return of every attempt in order of its end."""
    n = len(streams)
    source = task.new_sampler()
    starts = [task.begin(stream, source, ResetOptions()) for stream in streams]
    state = task.state(starts)
    total, returns = np.zeros(n), []
    active = np.arange(n)
    limit = progress.attempts + MAX_ATTEMPTS * n
    progress.attempts += n
    while len(active):
        noise = np.stack([streams[i].random(N_NOISE) for i in active])
        actions = act(observe(state[active], task.layout), noise)
        outcome = transition(state[active], actions, task.game)
        progress.network_calls += len(active)
        state = state.updated(active, outcome.state)
        total[active] += outcome.reward
        over = outcome.reason != Reason.GOING_ON
        returns += total[active[over]].tolist()
        broken = active[over & (outcome.reason != Reason.COMPLETE)]
        if len(broken):
            state = state.updated(broken, task.state([starts[i] for i in broken]))
            total[broken] = 0.0
            progress.attempts += len(broken)
        if progress.attempts > limit:
            raise NotCompleted(
                f"{MAX_ATTEMPTS} episodes for each molecule did not complete {n} of them; "
                "train longer, or ask for another bag"
            )
        active = active[outcome.reason != Reason.COMPLETE]
    numbers, positions = torch.from_numpy(state.numbers), torch.from_numpy(state.positions)
    return MoleculeBatch.from_padded(numbers, positions.double()), returns
