"""The check of a generator."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from molrl.bags import Bag
from molrl.errors import InputError
from molrl.generation import Generated, Generator, load_generator
from molrl.tasks.bag import BagTask
from molrl.testing.rules import require, rule

_N = 3  # molecules asked for


def check_generator(obj: Generator | str, *, seed: int = 0, bag: str = "H2O") -> None:
    """Check that a generator keeps the contract of :class:`molrl.Generator`.

    The rules, in this order: the generators of random numbers that a process shares are not
    changed; it makes exactly the molecules asked for, each with the whole bag and no two atoms in
    one place; what they cost is told; the same seed gives the same molecules, whatever the shared
    generators are at, and another seed others; a task, its mapping, a bag and a formula are the
    same; less than one molecule is refused.

    Args:
        obj: the generator, or a registered name.
        seed: of the molecules.
        bag: formula of molecules that it can make.

    Raises:
        AssertionError: if it does not; the message begins with the first rule broken.

    Example:
        >>> molrl.testing.check_generator("random", bag="CO")
    """
    with rule("it is a generator or the name of one"):
        generator = load_generator(obj) if isinstance(obj, str) else obj
        require(isinstance(generator.name, str) and generator.name, f"name {generator.name!r}")
    text = f"it generates {_N} molecules of {bag} and leaves the shared random state alone"
    with rule(text), _shared_random(0):
        made = generator.generate(bag, _N, seed)
    _check_made(made, Bag(bag))
    with rule("the same seed gives the same molecules, whatever the shared random state"):
        with _shared_random(1):
            again = generator.generate(bag, _N, seed)
        require(torch.equal(made.molecules.positions, again.molecules.positions), "they differ")
    with rule("another seed gives other molecules"):
        other = generator.generate(bag, _N, seed + 1)
        require(not torch.equal(made.molecules.positions, other.molecules.positions), "they agree")
    with rule("a task, the mapping of its fields, a Bag and a formula are the same task"):
        for task in (BagTask(bag=bag), {"kind": "bag", "bag": bag}, Bag(bag)):
            same = generator.generate(task, _N, seed).molecules
            require(torch.equal(same.positions, made.molecules.positions), f"not of {task!r}")
    with rule("less than one molecule is refused with an InputError"):
        try:
            generator.generate(bag, 0, seed)
        except InputError:
            return
        raise AssertionError("n=0 was not refused")


def _check_made(made: Generated, bag: Bag) -> None:
    with rule("it makes exactly the n molecules asked for"):
        require(len(made.molecules) == _N, f"{len(made.molecules)} instead of {_N}")
    with rule("each molecule has the whole bag"):
        for found in made.molecules.bags():
            require(found == bag, f"{found} instead of {bag}")
    with rule("coordinates are finite, and no two atoms are in one place"):
        made.molecules.check()
    with rule("attempts are at least n, and costs not negative"):
        require(made.attempts >= _N, f"{made.attempts} attempts")
        costs = (made.energy_calls, made.network_calls, made.seconds)
        require(min(costs) >= 0, f"energy_calls, network_calls, seconds: {costs}")
    if made.returns is not None:
        with rule("there is a return for every attempt"):
            require(len(made.returns) == made.attempts, f"{len(made.returns)} returns")


@contextmanager
def _shared_random(seed: int) -> Iterator[None]:
    """Seed the generators of random numbers that a process shares, and restore them at the end.

    Raises:
        AssertionError: if they were changed inside the context.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - what is checked
    with torch.random.fork_rng(devices=[]):
        _seed_all(seed)
        seeded = _state()
        try:
            yield
            require(_state() == seeded, "a generator of random numbers that all share has changed")
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002 - as above


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - as above
    torch.default_generator.manual_seed(seed)


def _state() -> tuple[Any, ...]:
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    return random.getstate(), str(numpy), torch.get_rng_state().tolist()
