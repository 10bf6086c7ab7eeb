"""The interface of generators of molecules, and their result."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from molrl.errors import InputError, did_you_mean
from molrl.parts import GENERATORS
from molrl.runs.progress import log_message
from molrl.validation import checked_options

if TYPE_CHECKING:
    from molrl.bags import Bag
    from molrl.molecules import MoleculeBatch
    from molrl.tasks import Task

# By the header of the weights in a run folder, what loads them as a generator.
_OWNERS = {"policy.json": "run", "diffusion.json": "diffusion", "pseudo-force.json": "pseudo-force"}


class NotCompleted(InputError):
    """A generator that gave up because too few of its attempts place the whole bag.

    Args:
        message: what is wrong, and what would be right.
        attempts: molecules that it has begun.
        returns: undiscounted returns of those that ended, eV, in the order of their ends.

    Attributes:
        attempts: as given.
        returns: as given.
    """

    def __init__(self, message: str, attempts: int = 0, returns: Sequence[float] = ()) -> None:
        super().__init__(message)
        self.attempts, self.returns = attempts, returns


@dataclass(frozen=True)
class Generated:
    """The molecules that a generator made, and the cost.

    Attributes:
        molecules: each with the whole bag; as many as were asked for.
        attempts: number of episodes or samples that were started, including those that ended
            early, which are not in ``molecules``.
        energy_calls: number of molecules whose energy was evaluated.
        network_calls: number of molecules that the generator's own network evaluated.
        seconds: wall time.
        returns: undiscounted return of every attempt, eV; None for generators without returns.
        temperature: at which the policy of an agent was sampled; None for other generators.
    """

    molecules: "MoleculeBatch"
    attempts: int
    energy_calls: int
    network_calls: int
    seconds: float
    returns: list[float] | None = None
    temperature: float | None = None


class Generator(Protocol):
    """A generator of molecules, such as an agent or a random search.

    Attributes:
        name: the name it is loaded by.
    """

    name: str

    def generate(
        self, task: "Task | Mapping[str, Any] | Bag | str", n: int, seed: int
    ) -> Generated:
        """Make exactly ``n`` molecules of the task.

        Args:
            task: a task, the mapping of its fields, or a formula or a bag; see
                :func:`molrl.tasks.parse_task`.
            n: number of molecules, at least 1.
            seed: each molecule has a random stream derived from it.

        Returns:
            The molecules and the cost.

        Raises:
            InputError: if this generator cannot make the task, n is not positive, or the seed is
                negative.
        """
        ...


class TrainedSize:
    """The size of the molecules that a network was trained on; what is larger is mentioned once.

    Args:
        name: of the network, as in ``the covariant policy``.
        largest: size of the largest molecules of the training.
        unit: what the size counts, such as ``heavy atoms``.

    Example:
        >>> size = TrainedSize("the covariant policy", 9, "heavy atoms")
        >>> size.mention(8, "C8H18")
    """

    def __init__(self, name: str, largest: int, unit: str) -> None:
        self._name, self._largest, self._unit = name, largest, unit
        self._mentioned: set[str] = set()

    def mention(self, size: int, what: str) -> None:
        """Print a line to standard error if molecules are larger than those of the training.

        Args:
            size: of the largest molecules to make.
            what: they are, such as a formula; there is no second line about the same.
        """
        if size <= self._largest or what in self._mentioned:
            return
        self._mentioned.add(what)
        log_message(
            f"{self._name} was trained on up to {self._largest} {self._unit}, and {what} has "
            f"{size}; few or none may come out right"
        )


def check_request(n: int, seed: int) -> None:
    """Check what is asked of a generator.

    Args:
        n: number of molecules.
        seed: of their random streams.

    Raises:
        InputError: if n is not positive, or the seed is no number from 0 on.

    Example:
        >>> check_request(10, seed=0)
    """
    check_whole("n", n, 1)
    check_whole("seed", seed, 0)


def check_whole(name: str, value: object, least: int) -> None:
    """Check that a number is whole, and not too small.

    Args:
        name: what it is.
        value: the number.
        least: the smallest that is allowed.

    Raises:
        InputError: if it is not.

    Example:
        >>> check_whole("n_atoms", 2.5, 1)
        Traceback (most recent call last):
        molrl.errors.InputError: n_atoms must be a whole number, at least 1, not 2.5
    """
    if not isinstance(value, Integral) or value < least:
        raise InputError(f"{name} must be a whole number, at least {least}, not {value!r}")


def check_owner(run: Path | str, file: str) -> None:
    """Check that a run folder without some weights is not the run of another generator.

    Args:
        run: the folder; what is none is not checked.
        file: name of the header of the weights that are wanted.

    Raises:
        InputError: if it is; the message names the generator.
    """
    if (Path(run) / file).is_file():
        return
    for name, owner in _OWNERS.items():
        if (Path(run) / name).is_file():
            what = "an agent" if owner == "run" else owner
            raise InputError(f"{run} is a run of {what}: write {owner}:{run}")


def options_taken(name: str, given: Mapping[str, object]) -> dict[str, object]:
    """Return those of some options that a generator takes, and that its name does not hold.

    Args:
        name: as for :func:`load_generator`; what follows a colon is the first option.
        given: options by name.

    Raises:
        InputError: if the name is unknown.

    Example:
        >>> options_taken("random-search", {"device": "cpu", "temperature": 1.0})
        {'device': 'cpu'}
        >>> options_taken("random-search:gfn2", {"energy": "mace", "device": "cpu"})
        {'device': 'cpu'}
    """
    kind, _, argument = name.partition(":")
    known = list(inspect.signature(GENERATORS.load(kind)).parameters)
    free = known[1:] if argument else known
    return {key: value for key, value in given.items() if key in free}


def load_generator(name: str, **options: object) -> Generator:
    """Return the generator called ``name``.

    Args:
        name: a name in :data:`molrl.parts.GENERATORS`, or ``name:argument``, where the argument is
            passed to the generator (``run:RUN``).
        options: keyword arguments of the generator.

    Returns:
        The generator.

    Raises:
        InputError: if the name is unknown, or an argument is missing, unknown or invalid.

    Example:
        >>> generator = load_generator("random:gfn2")  # doctest: +SKIP
        >>> generator.generate("H2O", n=10, seed=0).molecules.n_atoms.tolist()[:2]  # doctest: +SKIP
        [3, 3]
    """
    if not isinstance(name, str):
        raise InputError(f"a generator must be a name such as random, not {name!r}")
    kind, colon, argument = name.partition(":")
    factory = GENERATORS.load(kind)
    if colon and not argument:
        raise InputError(f"{name!r}: the argument after the colon is missing; write {kind}:RUN")
    arguments = [argument] if argument else []
    signature = inspect.signature(factory)
    try:
        signature.bind(*arguments, **options)
    except TypeError as error:
        for option in options:
            if option not in signature.parameters:
                hint = did_you_mean(option, signature.parameters)
                raise InputError(f"{name!r} has no option {option!r}; {hint}") from None
        raise InputError(f"{name!r}: {error}; the first argument follows a colon") from None
    generator: Generator = factory(*arguments, **checked_options(factory, options, repr(name)))
    return generator
