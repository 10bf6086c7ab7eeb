"""The one loop of training: of agents, energy models, rounds of active learning and others.

A :class:`Trainable` says what an update is, and what must be saved to continue from it. The loop
saves when that is due and when a signal asks the process to end, and keeps the files of the run.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molrl.runs.checkpoints import Checkpoint, Checkpoints
from molrl.runs.config import RunConfig
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import STEPS, Figure, MetricsLog, read_metrics
from molrl.runs.progress import Progress, progress
from molrl.runs.ranks import Ranks
from molrl.runs.signals import Stopped, stopping_when_saved

OnUpdate = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Closing:
    """What a finished run ends with.

    Attributes:
        summary: plain data for ``summary.json``.
        table: figures of the closing table.
        lines: what is printed before the table, such as where the weights are.
    """

    summary: Mapping[str, Any]
    table: Mapping[str, Any]
    lines: tuple[str, ...] = ()


class Trainable(ABC):
    """What can be trained: updates, a state from which they continue, and a closing summary.

    Its state is moved on by :meth:`begin`, :meth:`run`, :meth:`snapshot` and :meth:`restore`, which
    are called on all ranks; the other methods are called on the main rank alone.

    Attributes:
        config: the resolved config, which the run folder holds.
        ranks: the processes that share the training.
        total_steps: number of steps of the whole training.
        checkpoint_every: steps between checkpoints, which are saved after updates.
        evaluate_every: steps between evaluations, the last of which is at the end; 0: none.
        row_every: steps between rows of ``metrics.csv``; 1 if each update has one.
        first_step: number of steps done before the first update, where preparing takes some.
        verb: what the progress bar says is done; no bar if empty.
        heading: a line printed at the beginning; none if empty.

    Example:
        >>> class Count(Trainable):
        ...     config, ranks, total_steps, checkpoint_every = RunConfig(), Ranks(), 4, 2
        ...     steps = 0
        ...
        ...     def run(self, on_update):
        ...         while self.steps < self.total_steps:
        ...             self.steps += 1
        ...             on_update(self.steps, {"square": self.steps**2})
        ...
        ...     def snapshot(self):
        ...         return Checkpoint(self.steps, {}, {})
        ...
        ...     def restore(self, checkpoint):
        ...         self.steps = checkpoint.step
        >>> train(Count(), RunFolder("runs/count")).table  # doctest: +SKIP
        {'steps': 4, 'square': 16}
    """

    config: RunConfig
    ranks: Ranks
    total_steps: int
    checkpoint_every: int
    evaluate_every: int = 0
    row_every: int = 1
    first_step: int = 0
    verb: str = "train"
    heading: str = ""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Number of steps done."""

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing left to do."""
        return self.steps >= self.total_steps

    @property
    def what_was_done(self) -> str:
        """What has been done, in words, for one who wants to go on and has to ask for more."""
        return f"the run has done {self.steps} steps"

    def begin(self) -> None:  # noqa: B027 - most trainings begin as they are made
        """Prepare a new training, before its run folder is created; not called on resume.

        Raises:
            InputError: if what it starts from is missing or does not fit.
        """

    @abstractmethod
    def run(self, on_update: OnUpdate) -> None:
        """Train to :attr:`total_steps` from where it is; do nothing if that is reached.

        Args:
            on_update: called after every update, when the state is complete, with the number of
                steps done and figures of the update.
        """

    @abstractmethod
    def snapshot(self) -> Checkpoint:
        """Return all that the rest of the training depends on, between two updates."""

    @abstractmethod
    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a snapshot.

        Args:
            checkpoint: from :meth:`snapshot`, of a training with the same config.

        Raises:
            InputError: if it does not fit.
        """

    def row(self, step: int, figures: Mapping[str, float]) -> Mapping[str, Figure] | None:
        """Return the row of ``metrics.csv`` of an update; None for no row."""
        return {STEPS: step, **figures}

    def shown(self, figures: Mapping[str, float]) -> Mapping[str, Figure | str]:
        """Return the figures of an update that are shown beside the progress bar."""
        return {}

    def evaluate(self) -> Mapping[str, Figure]:
        """Return figures of what has been learnt, from fixed seeds.

        It draws nothing from the random streams of the training and changes no state that
        :meth:`run` depends on.
        """
        raise NotImplementedError(f"{type(self).__name__} has evaluate_every, but no evaluate")

    def write_weights(self, folder: Path) -> None:  # noqa: B027 - there may be no weights to write
        """Write what others use into the run folder, with each checkpoint and at the end."""

    def summarise(self, folder: RunFolder) -> Closing:
        """Return what the finished run ends with, and write its pictures and other results.

        Args:
            folder: the folder of the run, locked.

        Returns:
            By default the last row of the metrics.
        """
        last = (read_metrics(folder.metrics_file) or [{}])[-1]
        return Closing(last, last)


def train(trainable: Trainable, folder: RunFolder) -> Closing | None:
    """Train to the end in a run folder, from the beginning or a restored checkpoint.

    Metrics and evaluations that are later than the state of ``trainable`` are dropped first, so
    that a resumed run writes what an uninterrupted one would have written.

    Args:
        trainable: what to train.
        folder: of the run; it is locked, and holds the traceback if the training fails.

    Returns:
        What the run ends with, on the main rank; None on the others.

    Raises:
        RunFailed: on an unexpected error; the folder holds its traceback.
        Stopped: by a signal, after the state was saved.
    """
    if not trainable.ranks.is_main:
        train_saving(trainable, folder.path)
        return None
    with folder.lock_and_log():
        if trainable.heading:
            with suppress(OSError):  # a closed pipe or a full disk does not end the training
                print(trainable.heading, flush=True)
        with _logs(trainable, folder) as on_update:
            train_saving(trainable, folder.path, on_update)
        trainable.write_weights(folder.path)
        closing = trainable.summarise(folder)
        folder.write_summary(closing.summary)
    return closing


def train_saving(trainable: Trainable, folder: Path, on_update: OnUpdate = lambda *_: None) -> None:
    """Train to the end, with checkpoints, and stop between two updates when a signal asks.

    Args:
        trainable: what to train.
        folder: weights and ``checkpoints/`` are written there, by the main rank.
        on_update: as for :meth:`Trainable.run`; called before the state is saved.

    Raises:
        Stopped: by a signal, after the state was saved.
    """
    ranks, every = trainable.ranks, trainable.checkpoint_every
    saved = trainable.steps

    def after_update(step: int, figures: Mapping[str, float]) -> None:
        nonlocal saved
        on_update(step, figures)
        number = ranks.all_reduce_max(stop.number)
        if number or step // every != saved // every or trainable.has_ended:
            _save(trainable, folder)
            saved = step
        if number:
            ranks.gather(None)  # a rank that ends early may have others killed
            raise Stopped(number, f"saved at step {step}")

    with stopping_when_saved() as stop:
        trainable.run(after_update)
    if saved < trainable.steps < trainable.total_steps:  # it has ended itself before the end
        _save(trainable, folder)


def restore_latest(trainable: Trainable, folder: Path, report: Callable[[str], object]) -> None:
    """Restore the latest valid checkpoint of a folder, if it has any.

    Args:
        trainable: in its first state.
        folder: where :func:`train_saving` saved.
        report: called with a line about each corrupted checkpoint that is skipped.

    Raises:
        InputError: if there are checkpoints and none is valid, or it does not fit.
    """
    checkpoint = Checkpoints(folder / "checkpoints").load_latest(report)
    if checkpoint:
        trainable.restore(checkpoint)


def _save(trainable: Trainable, folder: Path) -> None:
    checkpoint = trainable.snapshot()
    if trainable.ranks.is_main:
        trainable.write_weights(folder)
        Checkpoints(folder / "checkpoints").save(checkpoint)


@contextmanager
def _logs(trainable: Trainable, folder: RunFolder) -> Iterator[OnUpdate]:
    """Yield a function that logs, shows and evaluates an update."""
    done = evaluated = trainable.steps
    every, first = trainable.row_every, trainable.first_step
    with (
        MetricsLog(folder.metrics_file, folder.tensorboard, done, every, first) as log,
        _evaluations(trainable, folder) as evaluations,
        _display(trainable) as bar,
    ):

        def on_update(step: int, figures: Mapping[str, float]) -> None:
            nonlocal evaluated
            row = trainable.row(step, figures)
            if row is not None:
                log.append(row)
            bar.update(step, **trainable.shown(figures))
            if evaluations and _is_due(trainable, step, evaluated):
                evaluations.append({STEPS: step, **trainable.evaluate()})
            evaluated = step

        yield on_update


def _is_due(trainable: Trainable, step: int, before: int) -> bool:
    """Return whether an evaluation is due after an update; a function of its steps alone."""
    every = trainable.evaluate_every
    return step // every != before // every or step >= trainable.total_steps


def _evaluations(
    trainable: Trainable, folder: RunFolder
) -> AbstractContextManager[MetricsLog | None]:
    """Return the log of evaluations; None inside if none are asked for."""
    if not trainable.evaluate_every:
        return nullcontext()
    board = folder.tensorboard / "evaluation"
    return MetricsLog(folder.evaluations_file, board, trainable.steps, trainable.evaluate_every)


def _display(trainable: Trainable) -> AbstractContextManager[Progress]:
    if not trainable.verb:
        return nullcontext(_Hidden())
    return progress(trainable.total_steps, trainable.verb, trainable.steps)


class _Hidden:
    """The display of a training that shows its progress itself."""

    def update(self, done: int, **figures: float | str | None) -> None:
        """Show nothing."""
