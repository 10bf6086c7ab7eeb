"""What the commands that train have in common: the beginning, the resumption and the end."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from molrl.errors import InputError
from molrl.evaluation.table import format_table
from molrl.registry import Registry
from molrl.runs.config import RunConfig
from molrl.runs.folder import RunFolder
from molrl.runs.progress import log_message
from molrl.runs.ranks import Ranks, process_group
from molrl.runs.trainer import Trainable, train

ConfigT = TypeVar("ConfigT", bound=RunConfig)


@dataclass(frozen=True)
class Training(Generic[ConfigT]):
    """A command that trains, as ``resume`` and ``launch`` see it.

    Attributes:
        command: the command of ``molrl``.
        schema: the class of its config, which has ``run_dir`` and ``seed``.
        length: the key of the config that says how long the training is.
        build: makes the trainable of a config, for one of the ranks, in its first state.
    """

    command: str
    schema: type[ConfigT]
    length: str
    build: Callable[[ConfigT, Ranks], AbstractContextManager[Trainable]]


TRAININGS = Registry(
    "command that trains",
    {
        "train": "molrl.cli.train:AGENT",
        "energy fit": "molrl.cli.energy:FIT",
        "energy learn": "molrl.cli.learn:LEARNING",
    },
)


def start(training: Training[ConfigT], config: ConfigT) -> None:
    """Create a run, train to the end, and print the closing table.

    Args:
        training: the command.
        config: of the run.

    Raises:
        InputError: if the config does not fit, or the run folder is in use; nothing is written
            then.
    """
    path = config.run_dir  # type: ignore[attr-defined]  # see Training.schema
    with process_group() as ranks:
        if ranks.is_main:
            RunFolder(path).ensure_new()
        with training.build(config, ranks) as trainable:
            trainable.begin()
            folder = RunFolder(path)
            if ranks.is_main:
                folder = RunFolder.create(path, trainable.config, training.command)
            _finish(trainable, folder)


def resume(training: Training[ConfigT], folder: RunFolder, overrides: Sequence[str] = ()) -> None:
    """Continue a run from its latest valid checkpoint, and print the closing table.

    Args:
        training: the command that created it.
        folder: of the run.
        overrides: ``KEY=N`` with the key of the length, to train for N steps in all; a finished run
            is unfinished then. Schedules, such as that of the learning rate, are from here on those
            of a run of N steps.

    Raises:
        InputError: if there are checkpoints and none is valid, the config does not fit any more, or
            the run has done N steps already.
    """
    _check_overrides(training, overrides)
    config = folder.load_config(training.schema, overrides)
    where = type(config.run_dir)(folder.path)  # type: ignore[attr-defined]  # see Training.schema
    config = config.model_copy(update={"run_dir": where})
    with process_group() as ranks, _locked(folder, ranks, overrides):
        checkpoint = folder.checkpoints.load_latest(log_message)
        with training.build(config, ranks) as trainable:
            if checkpoint:
                trainable.restore(checkpoint)
            else:
                trainable.begin()
            if overrides:
                _check_longer(training, trainable)
                if ranks.is_main:
                    folder.extend(trainable.config)
            _finish(trainable, folder)


def _locked(
    folder: RunFolder, ranks: Ranks, overrides: Sequence[str]
) -> AbstractContextManager[None]:
    if not ranks.is_main:
        return nullcontext()
    return folder.lock_finished() if overrides else folder.lock()


def _check_overrides(training: Training[ConfigT], overrides: Sequence[str]) -> None:
    for override in overrides:
        if override.partition("=")[0].strip() != training.length:
            raise InputError(
                f"a run that is resumed keeps its config; only {training.length}=N can be given, "
                f"not {override!r}"
            )


def _check_longer(training: Training[ConfigT], trainable: Trainable) -> None:
    if trainable.steps >= trainable.total_steps:
        raise InputError(
            f"the run has done {trainable.steps} steps; give a larger {training.length}"
        )


def _finish(trainable: Trainable, folder: RunFolder) -> None:
    closing = train(trainable, folder)
    if closing:
        for line in closing.lines:
            print(line)
        print(format_table(closing.table))
