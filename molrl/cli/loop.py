"""What the commands that train do: the beginning of a run, its resumption and its end."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from molrl.cli.training import BUILDERS, LENGTHS, SCHEMAS, lengths_of
from molrl.errors import InputError
from molrl.evaluation.table import format_table
from molrl.runs.config import RunConfig
from molrl.runs.folder import RunFolder
from molrl.runs.progress import log_message
from molrl.runs.ranks import Ranks, process_group
from molrl.runs.trainer import Trainable, train


def start(command: str, config: RunConfig) -> None:
    """Create a run, train to the end, and print the closing table.

    Args:
        command: one of :data:`BUILDERS`.
        config: of the run.

    Raises:
        InputError: if the config does not fit, or the run folder is in use; nothing is written
            then.
    """
    path = config.run_dir  # type: ignore[attr-defined]  # see SCHEMAS
    build = BUILDERS.load(command)
    with process_group() as ranks, build(config, ranks) as trainable:
        trainable.begin()
        folder = RunFolder(path)
        if ranks.is_main:
            folder = RunFolder.create(path, trainable.config, command)
        _finish(trainable, folder)


def resume(folder: RunFolder, finished: bool, overrides: Sequence[str] = ()) -> None:
    """Continue a run from its latest valid checkpoint, and print the closing table.

    Args:
        folder: of the run.
        finished: whether it had a summary when the command began.
        overrides: ``KEY=N`` with the key of the length, to train for N steps in all; a finished run
            is unfinished then. Schedules, such as that of the learning rate, are from here on those
            of a run of N steps.

    Raises:
        InputError: if there are checkpoints and none is valid, or a finished run has none, the
            config does not fit any more, or the run has done N steps already.
    """
    build, schema = BUILDERS.load(folder.command), SCHEMAS.load(folder.command)
    _check_overrides(LENGTHS[folder.command], overrides)
    limits = lengths_of(folder.load_config(schema), folder.command)
    config = folder.load_config(schema, overrides)
    config = config.model_copy(update={"run_dir": type(config.run_dir)(folder.path)})
    with process_group() as ranks, _locked(folder, ranks, finished, overrides):
        if ranks.is_main and folder.is_edited:
            log_message(f"{folder.config_file} was edited after the run began; it goes on with it")
        checkpoint = folder.checkpoints.load_latest(log_message)
        if not checkpoint:
            _check_unfinished(folder)
        with build(config, ranks) as trainable:
            if checkpoint:
                trainable.restore(checkpoint)
            else:
                trainable.begin()
            if overrides:
                _check_longer(limits, trainable)
                if ranks.is_main:
                    folder.extend(trainable.config)
            _finish(trainable, folder)


def _locked(
    folder: RunFolder, ranks: Ranks, finished: bool, overrides: Sequence[str]
) -> AbstractContextManager[None]:
    if not ranks.is_main:
        return nullcontext()
    return folder.lock_finished() if finished or overrides else folder.lock()


def _check_overrides(lengths: Sequence[str], overrides: Sequence[str]) -> None:
    for override in overrides:
        if override.partition("=")[0].strip() not in lengths:
            keys = " and ".join(f"{length}=N" for length in lengths)
            raise InputError(
                f"a run that is resumed keeps its config; only {keys} can be given, not "
                f"{override!r}"
            )


def _check_unfinished(folder: RunFolder) -> None:
    """Refuse to begin a run anew that would replace its results."""
    # weights alone may be of a run that was killed before its first checkpoint was written
    if folder.summary_file.is_file():
        raise InputError(
            f"{folder.path} has results but no checkpoint, so that the run would begin anew and "
            "replace them; begin a new run in another run_dir"
        )
    log_message("there is no checkpoint yet; the run begins anew")


def _check_longer(lengths: Sequence[str], trainable: Trainable) -> None:
    if trainable.has_ended:
        raise InputError(f"{trainable.what_was_done}; give a larger {' or '.join(lengths)}")


def _finish(trainable: Trainable, folder: RunFolder) -> None:
    closing = train(trainable, folder)
    if closing:
        for line in closing.lines:
            print(line)
        print(format_table(closing.table))
