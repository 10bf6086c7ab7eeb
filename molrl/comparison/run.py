"""A comparison of generators, run after run, which can be interrupted at any time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from molrl.comparison.config import CompareConfig, UnitKey
from molrl.comparison.figures import Results, summarise
from molrl.comparison.methods import Method, load_methods, training_energy_calls
from molrl.comparison.outputs import figures_of_run, lines_of, write_outputs
from molrl.comparison.units import Unit, UnitRun
from molrl.energy import CountedEnergy, load_energy
from molrl.errors import InputError
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import STEPS, Figure
from molrl.runs.progress import log_message
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import Closing, OnUpdate, Trainable
from molrl.tasks import Task


class Comparison(Trainable):
    """A comparison of generators; its steps are runs of a method on a task with a seed.

    A finished run is a folder of its own, and the only state that there is: what was interrupted is
    begun again.

    Args:
        config: of the comparison.
        ranks: of this process; a comparison has one.

    Attributes:
        keys: of all runs, in their order.
        methods: the rows, by name.

    Raises:
        InputError: if a generator cannot be loaded, or a task cannot be drawn.
    """

    verb = "compare"
    checkpoint_every = 1
    config: CompareConfig

    def __init__(self, config: CompareConfig, ranks: Ranks) -> None:
        if ranks.size > 1:
            raise InputError("a comparison runs on one rank; start it without torchrun")
        self.config, self.ranks = config, ranks
        self.keys = list(config.units())
        self.total_steps = len(self.keys)
        for task in config.tasks:
            _check_task(task)
        self._tasks = {str(task): task for task in config.tasks}
        self._energy = CountedEnergy(load_energy(config.energy, config.device))
        self.methods: dict[str, Method] = load_methods(config, self._energy)
        self._finished = {key for key in self.keys if self._is_finished(key)}
        self._now = ""

    @property
    def steps(self) -> int:
        """Number of finished runs."""
        return len(self._finished)

    @property
    def what_was_done(self) -> str:
        """How many runs it has; see :attr:`Trainable.what_was_done`."""
        return f"the comparison has all of its {self.total_steps} runs"

    def run(self, on_update: OnUpdate) -> None:
        """Do the runs that are not finished; see :meth:`Trainable.run`."""
        for key in self.keys:
            if key in self._finished:
                continue
            self._now = _told(key)
            unit = self._run_one(key, on_update)
            self._finished.add(key)
            if unit.failure:
                log_message(f"{self._now}: {unit.failure}")
            on_update(self.steps, figures_of_run(unit))

    def _run_one(self, key: UnitKey, on_update: OnUpdate) -> Unit:
        going = UnitRun(key, self.config, self._energy)

        def on_batch(n: int) -> None:
            on_update(self.steps, {"molecules": n})

        going.run(self.methods[key.method], self._tasks[key.task], on_batch)
        return going.finish(self.folder(key))

    def folder(self, key: UnitKey) -> Path:
        """Return the folder of a run.

        Args:
            key: which run.
        """
        return self.config.run_dir / key.folder

    def _is_finished(self, key: UnitKey) -> bool:
        """Return whether a run is there, complete; one that is broken or crashed begins again."""
        if not (self.folder(key) / "unit.json").is_file():
            return False
        try:
            unit = Unit.load(self.folder(key))
        except InputError as error:
            log_message(f"{error}; the run is begun again")
            return False
        if unit.crashed:
            log_message(f"{_told(key)} crashed, and is begun again: {unit.failure}")
        return not unit.crashed

    def row(self, step: int, figures: Mapping[str, float]) -> Mapping[str, Figure] | None:
        """Return the figures of a run that has finished; None while it goes on."""
        return {STEPS: step, **figures} if "energy_calls" in figures else None

    def shown(self, figures: Mapping[str, float]) -> Mapping[str, Figure | str]:
        """Return beside the progress bar what goes on, and how many molecules it has made."""
        return {"now": self._now, "molecules": int(figures.get("molecules", 0))}

    def snapshot(self) -> Checkpoint:
        """Return the number of finished runs; their folders are the state."""
        return Checkpoint(self.steps, {}, {})

    def restore(self, checkpoint: Checkpoint) -> None:
        """Do nothing: finished runs are found in their folders."""

    def summarise(self, folder: RunFolder) -> Closing:
        """Write ``table.md`` and ``curves.png``, and return the summary and the table.

        Args:
            folder: of the comparison.
        """
        units = [Unit.load(self.folder(key)) for key in self.keys]
        results = Results(self.config, units, training_energy_calls(self.config))
        summary = summarise(results)
        write_outputs(results, summary, folder.path)
        table = {"methods_seconds": sum(unit.seconds for unit in units)}
        return Closing(summary, table, tuple(lines_of(results, summary, folder.path)))


def _told(key: UnitKey) -> str:
    return f"{key.method}, {key.task}, seed {key.seed}"


def _check_task(task: Task) -> None:
    """Refuse a task that cannot be drawn, such as one of a solute that is no SMILES.

    Raises:
        InputError: if so, or what it needs is missing.
    """
    try:
        task.examples  # noqa: B018 - it is computed
    except InputError as error:
        raise InputError(f"tasks: {task}: {error}") from None


@contextmanager
def build(config: CompareConfig, ranks: Ranks) -> Iterator[Comparison]:
    """Make the comparison of a config; see :data:`molrl.cli.training.BUILDERS`."""
    yield Comparison(config, ranks)
