"""``molrl train``: training of an agent, and evaluation of its molecules."""

from argparse import Namespace

from molrl.cli.experiment import ExperimentConfig
from molrl.cli.loop import start


def train(arguments: Namespace) -> int:
    """Create a run, train to the end, and evaluate the best policy.

    Args:
        arguments: of the command: ``config``, an :class:`ExperimentConfig`.

    Returns:
        The exit code.

    Raises:
        InputError: if the config does not fit the model, or the run folder is in use; nothing is
            written then.
    """
    config: ExperimentConfig = arguments.config
    start("train", config)
    return 0
