"""What a comparison draws from: any generator, batch after batch, with its cost."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Protocol

import numpy as np

from molrl.agents.files import SHIPPED
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.comparison.config import REAL, CompareConfig, MethodConfig
from molrl.energy import CountedEnergy
from molrl.errors import InputError
from molrl.files import read_molecules
from molrl.generation import Generated, NotCompleted, load_generator, options_taken
from molrl.generators.search.generator import MAX_ATTEMPTS, StructureSearch
from molrl.generators.search.sources import WalkerSource
from molrl.runs.weights import read_json
from molrl.tasks import Task

TRAINED_ON_ENERGIES = ("run", "covariant", "internal")  # generators with a run of a training


class Room(NamedTuple):
    """What the budget of a run has room for.

    Attributes:
        molecules: of the next batch; none if 0.
        energy_calls: evaluations of the energy model, the relaxation of the comparison included.
    """

    molecules: int
    energy_calls: int


class Method(Protocol):
    """Interface of the rows of a comparison."""

    def batches(self, task: Task, seed: int, room: Callable[[], Room]) -> Iterator[Generated]:
        """Yield batches of molecules while there is room; a batch may be empty.

        Args:
            task: what to make.
            seed: of all its random numbers.
            room: called before each batch for what it may be.

        Raises:
            InputError: if the method cannot make the task, or gives up.
        """
        ...


class GeneratorMethod:
    """A generator as a row of a comparison.

    Args:
        config: of the row.
        energy: the energy model of the comparison, for generators that take one; what they evaluate
            is counted even where they give up.
        shared: options that the comparison gives to each generator that takes them.
        n_walkers: of a structure search, each with one molecule in a batch.

    Attributes:
        generator: the generator.

    Raises:
        InputError: if the generator cannot be loaded.
    """

    def __init__(
        self,
        config: MethodConfig,
        energy: CountedEnergy,
        shared: Mapping[str, object],
        n_walkers: int,
    ) -> None:
        self._energy, self._n_walkers = energy, n_walkers
        taken = options_taken(config.generator, {"energy": energy, **shared})
        self.generator = load_generator(config.generator, **{**taken, **config.options})
        unused = sorted({"hops", "batch_size"} & set(config.options))
        if unused and isinstance(self.generator, StructureSearch):
            raise InputError(
                f"a comparison has no use for {' and '.join(unused)} of {self.generator.name}, "
                "whose walkers go on until the budget is used up, batch_size of the comparison at "
                "the same time; leave it out"
            )

    def batches(self, task: Task, seed: int, room: Callable[[], Room]) -> Iterator[Generated]:
        """Yield batches of molecules; see :class:`Method`."""
        if isinstance(self.generator, StructureSearch):
            source = WalkerSource(self.generator.name, self.generator, task, self._n_walkers, seed)
            yield from _walk(source, self._n_walkers, room)
            return
        for i in count():
            if not (n := room().molecules):
                return
            draws = np.random.SeedSequence([seed, i])
            before, began = self._energy.evaluations, perf_counter()
            made = self.generator.generate(task, n, int(draws.generate_state(1)[0] % 2**31))
            counted = self._energy.evaluations - before
            # a generator may have an energy of its own
            calls, seconds = max(made.energy_calls, counted), perf_counter() - began
            yield replace(made, energy_calls=calls, seconds=seconds)


def _walk(source: WalkerSource, n: int, room: Callable[[], Room]) -> Iterator[Generated]:
    """Yield what walkers find, which go on from batch to batch as in ``molrl search``.

    An evaluation for each of the n walkers is left to the relaxation of the comparison.
    """
    calls, attempts, seconds, found = 0, 0, 0.0, 0
    while source.attempts <= MAX_ATTEMPTS * (n + found):
        left = room().energy_calls - n
        if not source.size(left):
            return
        minima = source.advance(left)
        assert minima is not None  # walkers do not give up
        found += len(minima.found)
        yield Generated(
            minima.molecules[minima.found],
            source.attempts - attempts,
            source.energy_calls - calls,
            0,
            source.seconds - seconds,
        )
        calls, attempts, seconds = source.energy_calls, source.attempts, source.seconds
    raise NotCompleted(f"{source.attempts} relaxations found {found} molecules")


class RealMolecules:
    """The known isomers of a task, the row that shows what could be found.

    Args:
        file: of the molecules; the molecules of the package if None.
    """

    def __init__(self, file: Path | None) -> None:
        self._molecules = read_molecules(file) if file else None

    def batches(self, task: Task, seed: int, room: Callable[[], Room]) -> Iterator[Generated]:
        """Yield all known isomers in one batch; see :class:`Method`.

        Raises:
            InputError: if the task has more than one bag, fixed atoms or a shape, or no isomer of
                its bag is known.
        """
        if task.single_bag is None:
            raise InputError("isomers are known for tasks of one bag on an empty canvas")
        formula = task.single_bag.formula
        if self._molecules is None:
            found = shipped_molecules().isomers(formula).molecules
        else:
            bags = self._molecules.bags()
            found = self._molecules[[i for i, bag in enumerate(bags) if bag.formula == formula]]
        if not len(found):
            raise InputError(f"no isomer of {formula} is among the known molecules")
        yield Generated(found, len(found), 0, 0, 0.0)


def load_methods(config: CompareConfig, energy: CountedEnergy) -> dict[str, Method]:
    """Return the rows of a comparison by name, the known isomers first.

    Args:
        config: of the comparison.
        energy: its energy model.

    Raises:
        InputError: if a generator cannot be loaded; the message names its row.
    """
    n_walkers = min(config.batch_size, config.n_molecules or config.batch_size)
    shared = {"device": config.device, "force_tolerance": config.force_tolerance}
    methods: dict[str, Method] = {REAL: RealMolecules(config.known)}
    for name, row in config.methods.items():
        try:
            methods[name] = GeneratorMethod(row, energy, shared, n_walkers)
        except InputError as error:
            raise InputError(f"methods.{name}: {error}") from None
    return methods


def training_energy_calls(config: CompareConfig) -> dict[str, int | None]:
    """Return the energy evaluations of the training of each method.

    Args:
        config: of the comparison.

    Returns:
        By the name of the row; None where the summary of an agent's run does not tell them, 0
        where no agent was trained.

    Raises:
        InputError: if the summary of a run is corrupted.
    """
    return {name: _training_calls(row) for name, row in config.methods.items()}


def _training_calls(config: MethodConfig) -> int | None:
    if config.training_energy_calls is not None:
        return config.training_energy_calls
    run = config.generator.partition(":")[2]
    if config.kind not in TRAINED_ON_ENERGIES or not (run or config.kind in SHIPPED):
        return 0
    told = Path(run, "summary.json") if run else SHIPPED[config.kind]
    found = read_json(told).get("training_energy_calls") if told.is_file() else None
    return found if isinstance(found, int) else None
