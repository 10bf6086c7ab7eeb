"""What a search for isomers draws from: any generator, batch after batch, with its cost."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np
from torch import Tensor

from molrl.energy import CountedEnergy, EnergyModel
from molrl.errors import InputError
from molrl.generation import Generator, NotCompleted, load_generator
from molrl.generators.search.config import SearchConfig
from molrl.generators.search.generator import MAX_STEPS, StructureSearch
from molrl.generators.search.minima import Minima, relax_to_minima
from molrl.parts import GENERATORS
from molrl.tasks import Task
from molrl.tasks.bag import BagTask


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

    def advance(self, max_steps: int) -> Minima | None:
        """Make and relax one batch.

        Args:
            max_steps: energy evaluations of a relaxation after the first, at most.

        Returns:
            What was found; None if the generator gave up, which stops it.
        """
        began = perf_counter()
        try:
            return self._advance(min(max_steps, MAX_STEPS))
        except NotCompleted as error:
            self.stopped = str(error)
            return None
        finally:
            self.seconds += perf_counter() - began

    @abstractmethod
    def _advance(self, max_steps: int) -> Minima:
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

    def _advance(self, max_steps: int) -> Minima:
        before = self._model.evaluations
        minima = self._search.advance(self._walkers, self._model, max_steps).minima
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

    Args:
        name: the name of the generator.
        generator: the generator.
        task: what it makes.
        config: of the search; each batch has a seed derived from its own.
        model: the energy model that the molecules are relaxed with.
    """

    def __init__(
        self, name: str, generator: Generator, task: Task, config: SearchConfig, model: EnergyModel
    ) -> None:
        super().__init__(name)
        self._generator, self._task, self._config = generator, task, config
        self._model, self._batches = CountedEnergy(model), 0

    def _advance(self, max_steps: int) -> Minima:
        config = self._config
        sequence = np.random.SeedSequence([config.seed, self._batches])
        seed = int(sequence.generate_state(1)[0] % 2**31)
        self._batches += 1
        made = self._generator.generate(self._task, config.batch_size, seed)
        before = self._model.evaluations
        tolerance = config.force_tolerance
        minima = relax_to_minima(made.molecules, self._model, tolerance, max_steps)
        self.energy_calls += made.energy_calls + self._model.evaluations - before
        self.attempts += made.attempts
        return minima

    def state(self) -> dict[str, Any]:
        """Return the costs and the number of batches."""
        return {**super().state(), "batches": self._batches}

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore a state; see :meth:`Source.restore`."""
        super().restore(state, tensors)
        self._batches = state["batches"]


def make_source(name: str, config: SearchConfig, model: EnergyModel) -> Source:
    """Load a generator as a source, which is stopped if it cannot make the bag.

    Args:
        name: the name of the generator.
        config: of the search.
        model: the energy model of the search, which is also that of a generator that takes one.

    Raises:
        InputError: if the generator cannot be loaded.
    """
    kind, _, argument = name.partition(":")
    known = inspect.signature(GENERATORS.load(kind)).parameters
    given: dict[str, object] = {
        "device": config.device,
        "charge": config.charge,
        "force_tolerance": config.force_tolerance,
    }
    if not argument or next(iter(known), "") != "energy":  # random:gfn2 has one
        given["energy"] = model
    options = {key: value for key, value in given.items() if key in known}
    generator, task = load_generator(name, **options), BagTask(bag=config.bag)
    if isinstance(generator, StructureSearch):
        return WalkerSource(name, generator, task, config.batch_size, config.seed)
    source = GeneratorSource(name, generator, task, config, model)
    try:
        generator.generate(task, 1, config.seed)  # refuses what it cannot make
    except InputError as error:
        source.stopped = str(error)
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
