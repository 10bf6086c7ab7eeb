"""``molrl train``: training of an agent or a generator, and evaluation of its molecules."""

from argparse import Namespace

from molrl.cli.loop import start
from molrl.cli.training import row_of
from molrl.runs.config import RunConfig


def train(arguments: Namespace) -> int:
    """Create a run, train to the end, and evaluate the result.

    Args:
        arguments: of the command: ``config``, of a row of :data:`molrl.cli.training.SCHEMAS`.

    Returns:
        The exit code.

    Raises:
        InputError: if the config does not fit the model, or the run folder is in use; nothing is
            written then.
    """
    config: RunConfig = arguments.config
    start(row_of(config), config)
    return 0
