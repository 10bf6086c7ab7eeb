"""One interface for whoever makes molecules, and what it returns."""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from molrl.bags import Bag
from molrl.errors import InputError
from molrl.registry import Registry
from molrl.task import Task

if TYPE_CHECKING:
    from molrl.molecules import MoleculeBatch

GENERATORS = Registry(
    "generator",
    {
        "covariant": "molrl.agents.generator:AgentGenerator",
        "random": "molrl.agents.random:RandomAgent",
    },
)


class NotCompleted(InputError):
    """A generator gives up: too few of its attempts place the whole bag."""


@dataclass(frozen=True)
class Generated:
    """What a generator made, and what it cost.

    Attributes:
        molecules: exactly the n molecules asked for, each with the whole bag.
        attempts: episodes or samples that were begun; those that broke off half-way are in here
            and not in ``molecules``.
        energy_calls: molecules whose energy was evaluated.
        network_calls: molecules that went through the generator's own network.
        seconds: wall time.
        returns: undiscounted return of every attempt in eV, where there is such a thing.
    """

    molecules: "MoleculeBatch"
    attempts: int
    energy_calls: int
    network_calls: int
    seconds: float
    returns: list[float] | None = None


class Generator(Protocol):
    """Whoever makes molecules: agents, diffusion, SiMGen, random search."""

    name: str

    def generate(self, task: Task | Bag | str, n: int, seed: int) -> Generated:
        """Make exactly ``n`` molecules of the task.

        Args:
            task: a task, or a bag, or the formula of one.
            n: how many, at least 1.
            seed: one stream per molecule is derived from it.

        Raises:
            InputError: if the task cannot be made by this generator.
        """
        ...


def load_generator(name: str, **options: object) -> Generator:
    """The generator called ``name``; what follows a colon is handed to it (``covariant:RUN``).

    Args:
        name: a name in :data:`GENERATORS`, or ``name:argument``.
        options: keyword arguments of the generator.

    Raises:
        InputError: if there is no such generator, or its argument is missing or bad.
    """
    kind, colon, argument = name.partition(":")
    factory = GENERATORS.load(kind)
    if colon and not argument:
        raise InputError(f"{name!r}: nothing follows the colon; write {kind}:RUN")
    arguments = [argument] if argument else []
    try:
        inspect.signature(factory).bind(*arguments, **options)
    except TypeError as error:
        raise InputError(f"{name!r}: {error}; after a colon comes the first argument") from None
    generator: Generator = factory(*arguments, **options)
    return generator
