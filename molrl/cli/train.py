"""``molrl train``: training of an agent, and evaluation of its molecules."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from molrl.cli.agent_run import AgentRun
from molrl.cli.experiment import ExperimentConfig
from molrl.cli.training import Training, start
from molrl.runs.config import load_config
from molrl.runs.ranks import Ranks


@contextmanager
def _build(config: ExperimentConfig, ranks: Ranks) -> Iterator[AgentRun]:
    yield AgentRun(config, ranks)


AGENT = Training("train", ExperimentConfig, "total_steps", _build)


def train(arguments: Namespace) -> int:
    """Create a run, train to the end, and evaluate the best policy.

    Args:
        arguments: of the command: ``config`` and ``overrides``.

    Returns:
        The exit code.

    Raises:
        InputError: if the config is invalid or the run folder is in use; nothing is written then.
    """
    start(AGENT, load_config(arguments.config, arguments.overrides, ExperimentConfig))
    return 0
