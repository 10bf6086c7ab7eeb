"""``molrl resume``: continue any run from its folder."""

from argparse import Namespace

from molrl.evaluation.table import format_table
from molrl.registry import Registry
from molrl.runs.folder import RunFolder
from molrl.runs.progress import log_message

COMMANDS = Registry(
    "resumable command",
    {
        "train": "molrl.cli.train:resume",
        "energy fit": "molrl.cli.energy:resume",
        "energy learn": "molrl.cli.learn:resume",
    },
)


def resume(arguments: Namespace) -> int:
    """Resume a run from its latest valid checkpoint; of a finished one, print the summary.

    The checkpoints are checked in either case.

    Args:
        arguments: of the command: ``run``.

    Returns:
        The exit code.

    Raises:
        InputError: if it is not a run, has checkpoints and none is valid, or another process uses
            it.
    """
    folder = RunFolder.open(arguments.run)
    resume_run = COMMANDS.load(folder.command)
    summary = folder.read_summary()
    if summary is None:
        resume_run(folder)
        return 0
    folder.checkpoints.load_latest(log_message)
    print(f"{folder.path} is finished")
    print(format_table(summary))
    return 0
