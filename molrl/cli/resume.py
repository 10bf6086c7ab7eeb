"""``molrl resume``: continue any run from its folder."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from molrl.cli.training import LENGTHS, SCHEMAS
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
            already, or another process uses it.
    """
    folder = RunFolder.open(arguments.run)
    length = LENGTHS[SCHEMAS.check(folder.command)]
    summary = folder.read_summary()
    if (
        summary is None
        or arguments.overrides
        or (folder.command == "compare" and _has_crashed(summary))
    ):
        from molrl.cli.loop import resume as resume_run  # it imports PyTorch

        resume_run(folder, summary is not None, arguments.overrides)
        return 0
    folder.checkpoints.load_latest(log_message)
    print(f"{folder.path} is finished; to train on, give {length}=N")
    print(format_table(summary))
    return 0


def _has_crashed(summary: Mapping[str, Any]) -> bool:
    """Return whether runs of a finished comparison crashed."""
    failures = (each for figures in summary["methods"].values() for each in figures["failures"])
    return any(each.get("crashed") for each in failures)  # earlier versions do not tell
