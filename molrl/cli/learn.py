"""``molrl energy learn``: rounds of active learning, with external generators."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager

from molrl.cli.loop import start
from molrl.errors import InputError
from molrl.fitting.active.config import LearnConfig
from molrl.fitting.active.learn import Learning
from molrl.generation import Generator, load_generator
from molrl.plotting.rounds import plot_rounds
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import STEPS, read_metrics
from molrl.runs.progress import phases
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import Closing


class LearningRun(Learning):
    """Active learning that shows its progress itself, a bar for each phase of a round."""

    verb = ""

    def summarise(self, folder: RunFolder) -> Closing:
        """Draw the rounds, and return the errors of the last one.

        Args:
            folder: of the run.

        Raises:
            InputError: if the log lacks the last round.
        """
        rows = read_metrics(folder.metrics_file)
        if not rows or rows[-1][STEPS] != self.steps:
            raise InputError(
                f"{folder.metrics_file} lacks the row of step {self.steps}, of which the "
                "summary is: put the file back, or resume with more rounds"
            )
        plot_rounds(rows, self.plot_file)
        weights = self.weights(-1)
        lines = (
            f"rounds: {self.plot_file}",
            f"weights: {weights}; use them as energy {weights.stem}:{weights}",
        )
        return Closing({**rows[-1], "weights": str(weights)}, rows[-1], lines)


@contextmanager
def build(config: LearnConfig, ranks: Ranks) -> Iterator[LearningRun]:
    """Make the learning of a config; see :data:`molrl.cli.training.BUILDERS`.

    Raises:
        InputError: if there are several ranks, or the generators, the weights or the data are
            missing or bad.
    """
    if ranks.size > 1:
        raise InputError("active learning runs on one rank; start it without torchrun")
    generators = _generators(config)
    with phases() as report:
        yield LearningRun(config, generators, report)


def _generators(config: LearnConfig) -> list[Generator]:
    return [load_generator(name) for name in config.generators]


def learn(arguments: Namespace) -> int:
    """Learn in rounds, in a run folder; see :class:`molrl.fitting.active.config.LearnConfig`.

    Raises:
        InputError: if the config, the weights or the data are bad, a generator is not known or
            cannot make a bag, or the run folder is not free; nothing is written then.
    """
    config: LearnConfig = arguments.config
    for generator in _generators(config):
        for bag in config.generator_bags:
            generator.generate(bag, 1, config.seed)  # refuses what it cannot make
    start("energy learn", config)
    return 0
