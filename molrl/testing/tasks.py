"""The check of a task."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from molrl.agents.random import random_actions
from molrl.agents.rollout import canvas_size
from molrl.energy import EnergyModel
from molrl.envs.config import Rules
from molrl.envs.vector import MolDesignVectorEnv
from molrl.tasks import Instance, InstanceSampler, Task, parse_task
from molrl.testing.rules import require, rule

_DRAWS = 20
_NUM_ENVS = 3


def check_task(
    obj: Task | Mapping[str, Any] | str, *, seed: int = 0, energy: EnergyModel | str = "gfn2"
) -> None:
    """Check that a task keeps the contract of :class:`molrl.Task`.

    The rules, in this order: it is plain data, from which an equal one is made; what it draws are
    instances, the same ones for the same seed; a sampler that is restored goes on as the first; no
    instance has other elements or more atoms than the task says, and those of a list are all that
    are drawn; an environment begins with it, is seeded, and places atoms.

    Args:
        obj: the task, the mapping of its fields, or a formula.
        seed: of what is drawn.
        energy: energy model of the environment, or its name.

    Raises:
        AssertionError: if it does not; the message begins with the first rule broken.

    Example:
        >>> molrl.testing.check_task({"kind": "scaffold", "scaffold": "*C", "bag": "CH3"})
    """
    with rule("it is a task, or plain data of one"):
        task = parse_task(obj)
    with rule("it is plain data, from which an equal task is made"):
        again = parse_task(json.loads(task.model_dump_json())) if _is_registered(task) else task
        require(again == task, f"{again!r} instead of {task!r}")
    with rule("it draws instances, the same ones for the same seed"):
        drawn = _drawn(task.sampler(), np.random.default_rng(seed), _DRAWS)
        same = _drawn(task.sampler(), np.random.default_rng(seed), _DRAWS)
        require(all(_are_equal(*pair) for pair in zip(drawn, same, strict=True)), "they differ")
    with rule("a sampler that is restored goes on as the first"):
        _check_restored(task, seed)
    with rule("the instances have the elements, at most max_atoms, and are in the list if any"):
        _check_instances(task, drawn)
    with rule("an environment begins with it and places atoms, the same ones for the same seed"):
        first, second = (_observations(task, seed, energy) for _ in range(2))
        require(all(np.array_equal(*pair) for pair in zip(first, second, strict=True)), "differ")


def _is_registered(task: Task) -> bool:
    """Return whether a task can be made of its fields, as in a config."""
    from molrl.parts import TASKS

    return task.kind in TASKS and TASKS.load(task.kind) is type(task)


def _drawn(sampler: InstanceSampler, rng: np.random.Generator, n: int) -> list[Instance]:
    drawn = [sampler.draw(rng) for _ in range(n)]
    for instance in drawn:
        require(isinstance(instance, Instance), f"it drew {instance!r}")
    return drawn


def _are_equal(first: Instance, second: Instance) -> bool:
    return (
        first.bag == second.bag
        and first.refills == second.refills
        and (first.charge, first.spin) == (second.charge, second.spin)
        and np.array_equal(first.fixed.numbers, second.fixed.numbers)
        and np.array_equal(first.fixed.positions, second.fixed.positions)
        and np.array_equal(first.shape, second.shape)
    )


def _check_restored(task: Task, seed: int) -> None:
    rng, sampler = np.random.default_rng(seed), task.sampler()
    _drawn(sampler, rng, 2)
    state, generator = json.loads(json.dumps(sampler.sampler_state())), rng.bit_generator.state
    onward = _drawn(sampler, rng, 3)
    restored, other = task.sampler(), np.random.default_rng()
    other.bit_generator.state = generator
    restored.restore_sampler(state)
    again = _drawn(restored, other, 3)
    require(all(_are_equal(*pair) for pair in zip(onward, again, strict=True)), "they differ")


def _check_instances(task: Task, drawn: list[Instance]) -> None:
    listed = task.instances()
    for instance in drawn:
        unknown = set(instance.bag) - task.elements
        require(not unknown, f"{instance.bag} has elements that are not in {set(task.elements)}")
        n = instance.n_atoms
        require(n <= task.max_atoms, f"{n} atoms of {instance.bag}, max_atoms {task.max_atoms}")
        if listed is not None:
            known = any(_are_equal(instance, each) for each in listed)
            require(known, f"{instance.bag} is not in the list")


def _observations(task: Task, seed: int, energy: EnergyModel | str) -> list[np.ndarray]:
    """Return what environments observe in their first steps."""
    size = canvas_size(task, Rules())
    envs = MolDesignVectorEnv(_NUM_ENVS, "SameStep", task=task, energy=energy, canvas_size=size)
    observation, _ = envs.reset(seed=seed)
    rng, seen = np.random.default_rng(seed), []
    for _ in range(4):
        require(envs.observation_space.contains(observation), "an observation is not in the space")
        seen += list(observation.values())
        observation, *_ = envs.step(random_actions(observation, rng))
    return seen
