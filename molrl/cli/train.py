"""``molrl train``: training of an agent, and evaluation of its molecules."""

from argparse import Namespace

from molrl.cli.experiment import ExperimentConfig
from molrl.cli.loop import start
from molrl.runs.config import load_config


def train(arguments: Namespace) -> int:
    """Create a run, train to the end, and evaluate the best policy.

    Args:
        arguments: of the command: ``config`` and ``overrides``.

    Returns:
        The exit code.

    Raises:
        InputError: if the config is invalid or the run folder is in use; nothing is written then.
    """
    start("train", load_config(arguments.config, arguments.overrides, ExperimentConfig))
    return 0
