"""``molrl resume``: whatever was begun in a run folder goes on."""

from argparse import Namespace

from molrl.evaluation.table import format_table
from molrl.registry import Registry
from molrl.runs.folder import RunFolder
from molrl.runs.progress import tell

COMMANDS = Registry(
    "resumable command",
    {
        "train": "molrl.cli.train:go_on",
        "energy fit": "molrl.cli.energy:go_on",
        "energy learn": "molrl.cli.learn:go_on",
    },
)


def resume(arguments: Namespace) -> int:
    """Go on with a run at its latest sound checkpoint; of a finished one, show the closing table.

    The checkpoints are checked in either case.

    Raises:
        InputError: if it is no run, has checkpoints and none is sound, or another process works in
            it.
    """
    folder = RunFolder.open(arguments.run)
    go_on = COMMANDS.load(folder.command)
    summary = folder.read_summary()
    if summary is None:
        go_on(folder)
        return 0
    folder.checkpoints.load_latest(tell)
    print(f"{folder.path} is finished")
    print(format_table(summary))
    return 0
