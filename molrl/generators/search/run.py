"""A search for the isomers of a formula: generators that share a budget, with exact resume."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

from molrl.bags import Bag
from molrl.energy import load_energy
from molrl.errors import InputError
from molrl.generators.search.budget import UNLIMITED
from molrl.generators.search.config import SearchConfig
from molrl.generators.search.isomers import Constraints, Isomers
from molrl.generators.search.sources import Source, below, make_source
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.metrics import STEPS, Figure
from molrl.runs.progress import log_message
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import OnUpdate, Trainable


class IsomerSearch(Trainable):
    """A search for isomers: the generator with the least cost so far makes the next batch.

    The cost is that in energy calls, or the time where only that is limited, so that all have the
    same share whenever the search ends. Its steps are those of the budget.

    Args:
        config: of the search.
        ranks: of this process; a search has one.

    Attributes:
        sources: the generators.
        isomers: what they have found.

    Raises:
        InputError: if a generator cannot be loaded or none can make the bag, or the energy model
            takes no such charge or element.
    """

    verb = "search"
    config: SearchConfig

    def __init__(self, config: SearchConfig, ranks: Ranks) -> None:
        if ranks.size > 1:
            raise InputError("a search runs on one rank; start it without torchrun")
        self.config, self.ranks = config, ranks
        self.total_steps, self.checkpoint_every = config.total_steps, config.checkpoint_every
        self.model = load_energy(config.energy, config.device)
        self.model.check_charge(f"{config.bag} has", config.charge, None)
        self.model.check_elements(Bag(config.bag))
        self.isomers = Isomers(Constraints(config.contains, config.excludes, config.rings))
        self.sources: list[Source] = [
            make_source(name, config, self.model, self.isomers.wants) for name in config.methods
        ]
        unable = [source for source in self.sources if source.stopped]
        if len(unable) == len(self.sources):
            raise InputError(f"no method makes {config.bag}: {unable[0].stopped}")
        for source in unable:
            log_message(f"{source.name} does not make {config.bag}: {source.stopped}")
        self._done = False
        self.first_step = self.steps  # simgen evaluates its reference when it is loaded
        self.heading = (
            f"searching for isomers of {config.bag} by {', '.join(config.methods)}, relaxed with "
            f"{config.energy}"
        )

    @property
    def energy_calls(self) -> int:
        """Energies evaluated so far, by all generators."""
        return sum(source.energy_calls for source in self.sources)

    @property
    def seconds(self) -> float:
        """Wall time so far, of all generators."""
        return sum(source.seconds for source in self.sources)

    @property
    def steps(self) -> int:
        """Energy calls so far, or seconds where only the time is limited."""
        used = self.seconds if self.config.energy_calls is None else self.energy_calls
        return min(int(used), self.total_steps)

    @property
    def has_ended(self) -> bool:
        """Whether the budget is used up; see :attr:`Trainable.has_ended`."""
        return self._done

    @property
    def what_was_done(self) -> str:
        """What has been used up; see :attr:`Trainable.what_was_done`."""
        minutes = f" in {self.seconds / 60:.3g} minutes" if self.config.minutes is not None else ""
        return f"the search has evaluated {self.energy_calls} energies{minutes}"

    def run(self, on_update: OnUpdate) -> None:
        """Search until the budget is used up; see :meth:`Trainable.run`."""
        while not self._done:
            began, figures = perf_counter(), {}
            source = self._next()
            if source is None:
                self._done = True
            else:
                self._advance(source)
                figures["seconds"] = perf_counter() - began
            on_update(self.steps, figures)

    def row(self, step: int, figures: Mapping[str, float]) -> Mapping[str, Figure] | None:
        """Return how many isomers are found, the lowest energy, and the cost of each generator."""
        if not figures:  # the budget was found to be used up
            return None
        lowest = self.isomers.lowest
        return {
            STEPS: step,
            "isomers": len(self.isomers),
            "lowest_energy": None if lowest is None else lowest.energy,
            "energy_calls": self.energy_calls,
            "seconds": self.seconds,
            **{f"isomers/{each.name}": self._found_by(each.name) for each in self.sources},
            **{f"energy_calls/{each.name}": each.energy_calls for each in self.sources},
        }

    def shown(self, figures: Mapping[str, float]) -> Mapping[str, Figure | str]:
        """Return the number of isomers and the lowest energy beside the progress bar."""
        lowest = self.isomers.lowest
        best = "-" if lowest is None else f"{lowest.energy:.2f} eV"
        return {"isomers": len(self.isomers), "lowest": best}

    def snapshot(self) -> Checkpoint:
        """Return the isomers, and the states of the generators."""
        tensors = {f"isomers.{key}": value for key, value in self.isomers.tensors().items()}
        for i, source in enumerate(self.sources):
            tensors |= {f"{i}.{key}": value for key, value in source.tensors().items()}
        state: dict[str, Any] = {
            "isomers": self.isomers.state(),
            "sources": [source.state() for source in self.sources],
        }
        return Checkpoint(self.steps, tensors, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a snapshot."""
        tensors, state = checkpoint.tensors, checkpoint.state
        self.isomers.restore(state["isomers"], below("isomers.", tensors))
        for i, (source, own) in enumerate(zip(self.sources, state["sources"], strict=True)):
            source.restore(own, below(f"{i}.", tensors))
        self._done = self._next() is None

    def _found_by(self, method: str) -> int:
        return sum(method in isomer.found for isomer in self.isomers.by_smiles.values())

    def _next(self) -> Source | None:
        """Return the source that makes the next batch; None if the budget has room for none."""
        left, minutes = self._left(), self.config.minutes
        running = [each for each in self.sources if not each.stopped and each.size(left)]
        if not running or (minutes is not None and self.seconds >= 60 * minutes):
            return None
        if self.config.energy_calls is None:
            return min(running, key=lambda source: source.seconds)
        return min(running, key=lambda source: source.energy_calls)

    def _left(self) -> int:
        """Return the energies that are left of the budget."""
        calls = self.config.energy_calls
        return UNLIMITED if calls is None else calls - self.energy_calls

    def _advance(self, source: Source) -> None:
        minima = source.advance(self._left())
        if minima is None:
            log_message(f"{source.name} gave up: {source.stopped}")
            return
        self.isomers.add(minima, source.name, source.energy_calls, self.energy_calls)
