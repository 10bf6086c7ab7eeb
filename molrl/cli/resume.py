"""``molrl resume``: continue any run from its folder."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from molrl.cli.training import LENGTHS, SCHEMAS, lengths_of
from molrl.errors import InputError
from molrl.evaluation.table import format_table
from molrl.runs.folder import RunFolder
from molrl.runs.progress import log_message
from molrl.tasks import parse_task


def resume(arguments: Namespace) -> int:
    """Resume a run from its latest valid checkpoint; of a finished one, print the summary.

    Runs of a comparison that crashed, are broken or missing are done. The checkpoints are checked
    in either case. With ``total_steps=N`` (``steps=N`` for a fit, ``rounds=N`` for active learning,
    ``energy_calls=N`` or ``minutes=T`` for a search) the run goes on until it has done N steps,
    also if it is finished.

    Args:
        arguments: of the command: ``run`` and ``overrides``.

    Returns:
        The exit code.

    Raises:
        InputError: if it is not a run, has checkpoints and none is valid, has done N steps
            already, another process uses it, or its summary is none.
    """
    folder = RunFolder.open(arguments.run)
    schema = SCHEMAS.check(folder.command)
    summary = folder.read_summary()
    if summary is None or arguments.overrides or _lacks_runs(folder):
        from molrl.cli.loop import resume as resume_run  # it imports PyTorch

        resume_run(folder, summary is not None, arguments.overrides)
        return 0
    table = _table(summary, folder)
    folder.checkpoints.load_latest(log_message)
    lengths: Sequence[str] = LENGTHS[schema]
    if len(lengths) > 1:  # others need no config, which may be of an earlier version
        lengths = lengths_of(folder.load_config(SCHEMAS.load(schema)), schema)
    longer = " or ".join(f"{length}=N" for length in lengths)
    print(f"{folder.path} is finished; to go on, give {longer}")
    print(table)
    return 0


def _lacks_runs(folder: RunFolder) -> bool:
    """Return whether runs of a comparison are missing, broken or have crashed."""
    if folder.command != "compare":
        return False
    from molrl.comparison.config import CompareConfig, has_finished

    keys = folder.load_config(CompareConfig).units()
    return not all(has_finished(folder.path / key.folder) for key in keys)


def _described(summary: Mapping[str, Any]) -> dict[str, object]:
    """Return a summary with the task as a training prints it, if its kind is still registered."""
    figures = dict(summary)
    if isinstance(figures.get("task"), Mapping):
        with suppress(InputError):
            figures["task"] = str(parse_task(figures["task"]))
    return figures


def _table(summary: Mapping[str, Any], folder: RunFolder) -> str:
    """Return the table of a summary, or what a comparison has printed at its end.

    Raises:
        InputError: if the file holds something else.
    """
    try:
        if folder.command == "compare":
            from molrl.comparison.outputs import lines_of_folder

            return "\n".join(lines_of_folder(summary, folder))
        return format_table(_described(summary))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            f"{folder.summary_file} is not the summary of such a run; {folder.summary_remedy}"
        ) from None
