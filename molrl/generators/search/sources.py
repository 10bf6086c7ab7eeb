"""What a search for isomers draws from: any generator, batch after batch, with its cost."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molrl.chemistry.bonds import validity
from molrl.energy import CountedEnergy, EnergyModel
from molrl.errors import InputError
from molrl.generation import (
    Generated,
    Generator,
    NotCompleted,
    load_generator,
    options_taken,
)
from molrl.generators.search.budget import (
    FEWEST_STEPS,
    USUAL_COST,
    batch_within,
    steps_within,
    walkers_within,
)
from molrl.generators.search.config import SearchConfig
from molrl.generators.search.generator import MAX_STEPS, StructureSearch
from molrl.generators.search.minima import Minima, relax_to_minima
from molrl.molecules import MoleculeBatch
from molrl.runs.progress import waiting
from molrl.tasks import Task
from molrl.tasks.bag import BagTask

CHOICE = 4  # molecules made for each that is relaxed, where energies count and making takes none

Wanted = Callable[[str], bool]


class Source(ABC):
    """A generator that makes relaxed structures, batch after batch.

    Attributes:
        name: the name of the generator.
        energy_calls: energies evaluated so far, relaxations included.
        attempts: structures begun so far.
        seconds: wall time so far.
        stopped: why it makes nothing any more; ``""`` while it does.
    """

    def __init__(self, name: str) -> None:
        self.name, self.stopped = name, ""
        self.energy_calls, self.attempts, self.seconds = 0, 0, 0.0

    def advance(self, left: int) -> Minima | None:
        """Make and relax one batch, as large as fits.

        Args:
            left: energies that are left of the budget, for which :meth:`size` is not 0.

        Returns:
            What was found; None if the generator gave up, which stops it.
        """
        began = perf_counter()
        try:
            return self._advance(left)
        except NotCompleted as error:
            self.stopped = str(error)
            return None
        finally:
            self.seconds += perf_counter() - began

    @abstractmethod
    def size(self, left: int) -> int:
        """Return how many structures the next batch has; 0 if none fits.

        Args:
            left: energies that are left of the budget.
        """

    @abstractmethod
    def _advance(self, left: int) -> Minima:
        """Make and relax one batch, and count attempts and energy calls."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the state."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return the rest of the state, as plain JSON data."""
        return {
            "energy_calls": self.energy_calls,
            "attempts": self.attempts,
            "seconds": self.seconds,
            "stopped": self.stopped,
        }

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore a state.

        Args:
            state: of :meth:`state`.
            tensors: of :meth:`tensors`.
        """
        self.energy_calls, self.attempts = state["energy_calls"], state["attempts"]
        self.seconds, self.stopped = state["seconds"], state["stopped"]


class WalkerSource(Source):
    """Walkers of a structure search, which go on from batch to batch.

    Args:
        name: the name of the search.
        search: the search.
        task: what it makes.
        n: number of walkers.
        seed: of their streams.
    """

    def __init__(self, name: str, search: StructureSearch, task: Task, n: int, seed: int) -> None:
        super().__init__(name)
        self._search, self._walkers = search, search.walkers(task, n, seed)
        self._model = CountedEnergy(search.model)

    def size(self, left: int) -> int:
        """Return how many walkers the next batch has; see :meth:`Source.size`."""
        return walkers_within(left, len(self._walkers))

    def _advance(self, left: int) -> Minima:
        before, walkers = self._model.evaluations, self._walkers[: self.size(left)]
        steps = steps_within(left, len(walkers), MAX_STEPS)
        minima = self._search.advance(walkers, self._model, steps).minima
        self.energy_calls += self._model.evaluations - before
        self.attempts += len(minima)
        return minima

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the walkers, by their index."""
        return {
            f"{i}.{key}": value
            for i, walker in enumerate(self._walkers)
            for key, value in walker.tensors().items()
        }

    def state(self) -> dict[str, Any]:
        """Return the costs and the states of the walkers."""
        return {**super().state(), "walkers": [walker.state() for walker in self._walkers]}

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore a state; see :meth:`Source.restore`."""
        super().restore(state, tensors)
        for i, (walker, own) in enumerate(zip(self._walkers, state["walkers"], strict=True)):
            walker.restore(own, below(f"{i}.", tensors))


class GeneratorSource(Source):
    """Any other generator, whose molecules are relaxed.

    One that evaluates no energy makes several for each that is relaxed, where energies are limited.

    Args:
        name: the name of the generator.
        generator: the generator.
        config: of the search; each batch has a seed derived from its own.
        model: the energy model that the molecules are relaxed with, which counts what the
            generator evaluates.
        wanted: whether a molecule is looked for, by its SMILES.

    Attributes:
        cost: energies for a structure, the largest of all batches.
    """

    def __init__(
        self,
        name: str,
        generator: Generator,
        config: SearchConfig,
        model: CountedEnergy,
        wanted: Wanted,
    ) -> None:
        super().__init__(name)
        self._generator, self._task, self._config = generator, BagTask(bag=config.bag), config
        self._wanted = wanted
        self._spent, self._model, self._batches = model, CountedEnergy(model.model), 0
        self._evaluates = True
        self.cost = 0.0

    def try_one(self) -> None:
        """Make a structure, which shows what one costs; stop if the generator refuses the task."""
        began = perf_counter()
        try:
            with waiting(f"trying {self.name}"):
                made = self._generate(1, self._config.seed)
        except InputError as error:
            self.stopped = str(error)
        else:
            self.energy_calls += made.energy_calls
            self._evaluates = made.energy_calls > 0
            self.cost = made.energy_calls + USUAL_COST
        finally:
            self.seconds += perf_counter() - began

    def _generate(self, n: int, seed: int) -> Generated:
        """Make molecules; what a generator that gives up has evaluated is counted, too."""
        before = self._spent.evaluations
        try:
            return self._generator.generate(self._task, n, seed)
        except InputError:
            self.energy_calls += self._spent.evaluations - before
            raise

    def size(self, left: int) -> int:
        """Return how many structures the next batch has; see :meth:`Source.size`."""
        return batch_within(left, self.cost, self._config.batch_size)

    def _advance(self, left: int) -> Minima:
        config, size = self._config, self.size(left)
        sequence = np.random.SeedSequence([config.seed, self._batches])
        seed = int(sequence.generate_state(1)[0] % 2**31)
        self._batches += 1
        choosing = not self._evaluates and config.energy_calls is not None
        made = self._generate(CHOICE * size if choosing else size, seed)
        self._evaluates |= made.energy_calls > 0
        before, left = self._model.evaluations, max(0, left - made.energy_calls)
        molecules = made.molecules[:left]
        if choosing and len(molecules):
            left -= len(molecules)
            molecules = self._choose(molecules, size)
        molecules = molecules[: left // (FEWEST_STEPS + 1)]
        steps = steps_within(left, len(molecules), MAX_STEPS)
        minima = relax_to_minima(molecules, self._model, config.force_tolerance, steps)
        calls = made.energy_calls + self._model.evaluations - before
        self.cost = max(self.cost, calls / size)
        self.energy_calls += calls
        self.attempts += made.attempts
        return minima

    def _choose(self, molecules: MoleculeBatch, n: int) -> MoleculeBatch:
        """Return the n lowest in energy, one of each isomer that is wanted before all others."""
        found = validity(molecules)
        first: list[int] = []
        others: list[int] = []
        seen: set[str] = set()
        energies = self._model.evaluate(molecules).energy
        usable = found.valid & torch.isfinite(energies).cpu().numpy()
        for i in energies.argsort(stable=True).tolist():
            smiles = found.smiles[i] if usable[i] else None
            is_new = smiles is not None and smiles not in seen and self._wanted(smiles)
            (first if is_new else others).append(i)
            seen.add(smiles or "")
        return molecules[(first + others)[:n]]

    def state(self) -> dict[str, Any]:
        """Return the costs and the number of batches."""
        return {
            **super().state(),
            "batches": self._batches,
            "cost": self.cost,
            "evaluates": self._evaluates,
        }

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore a state; see :meth:`Source.restore`."""
        super().restore(state, tensors)
        self._batches, self.cost = state["batches"], state["cost"]
        self._evaluates = state["evaluates"]


def make_source(name: str, config: SearchConfig, model: EnergyModel, wanted: Wanted) -> Source:
    """Load a generator as a source, which is stopped if it cannot make the bag.

    Args:
        name: the name of the generator.
        config: of the search.
        model: the energy model of the search, which is also that of a generator that takes one.
        wanted: as of :class:`GeneratorSource`.

    Raises:
        InputError: if the generator cannot be loaded.
    """
    counted = CountedEnergy(model)
    given = {
        "energy": counted,
        "device": config.device,
        "charge": config.charge,
        "force_tolerance": config.force_tolerance,
    }
    generator = load_generator(name, **options_taken(name, given))
    if isinstance(generator, StructureSearch):
        task = BagTask(bag=config.bag)
        return WalkerSource(name, generator, task, config.batch_size, config.seed)
    source = GeneratorSource(name, generator, config, counted, wanted)
    source.try_one()
    return source


def below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it.

    Args:
        prefix: of the names.
        tensors: by name.
    """
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
