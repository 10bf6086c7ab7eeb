"""``molrl resume``: continue any run from its folder."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from molrl.cli.training import LENGTHS, SCHEMAS
from molrl.errors import InputError
from molrl.evaluation.table import format_table
from molrl.runs.folder import RunFolder
from molrl.runs.progress import log_message


def resume(arguments: Namespace) -> int:
    """Resume a run from its latest valid checkpoint; of a finished one, print the summary.

    Runs of a comparison that crashed are begun again. The checkpoints are checked in either case.
    With ``total_steps=N`` (``steps=N`` for a fit, ``rounds=N`` for active learning) the run goes on
    until it has done N steps, also if it is finished.

    Args:
        arguments: of the command: ``run`` and ``overrides``.

    Returns:
        The exit code.

    Raises:
        InputError: if it is not a run, has checkpoints and none is valid, has done N steps
            already, another process uses it, or its summary is none.
    """
    folder = RunFolder.open(arguments.run)
    length = LENGTHS[SCHEMAS.check(folder.command)]
    summary = folder.read_summary()
    table = None if summary is None else _table(summary, folder)
    if table is None or arguments.overrides:
        from molrl.cli.loop import resume as resume_run  # it imports PyTorch

        resume_run(folder, summary is not None, arguments.overrides)
        return 0
    folder.checkpoints.load_latest(log_message)
    print(f"{folder.path} is finished; to train on, give {length}=N")
    print(table)
    return 0


def _table(summary: Mapping[str, Any], folder: RunFolder) -> str | None:
    """Return the table of a summary; None of a comparison that is to be completed.

    Raises:
        InputError: if the file holds something else.
    """
    try:
        if folder.command == "compare" and _has_crashed(summary):
            return None
        return format_table(summary)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            f"{folder.summary_file} is not the summary of such a run; {folder.summary_remedy}"
        ) from None


def _has_crashed(summary: Mapping[str, Any]) -> bool:
    """Return whether runs of a finished comparison crashed."""
    failures = (each for figures in summary["methods"].values() for each in figures["failures"])
    return any(each.get("crashed") for each in failures)  # earlier versions do not tell
