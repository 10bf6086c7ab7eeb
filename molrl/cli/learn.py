"""``molrl energy learn``: rounds of active learning, with external generators."""

from argparse import Namespace

from molrl.evaluation.table import format_table
from molrl.fitting.active.config import LearnConfig
from molrl.fitting.active.learn import Learning
from molrl.generation import Generator, load_generator
from molrl.plotting.rounds import plot_rounds
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import read_metrics
from molrl.runs.progress import phases


def learn(arguments: Namespace) -> int:
    """Learn in rounds, in a run folder; see :class:`molrl.fitting.active.config.LearnConfig`.

    Raises:
        InputError: if the config, the weights or the data are bad, a generator is not known or
            cannot make a bag, or the run folder is not free; nothing is written then.
    """
    config: LearnConfig = arguments.config
    generators = _generators(config)
    for generator in generators:
        for bag in config.generator_bags:
            generator.generate(bag, 1, config.seed)  # refuses what it cannot make
    with phases() as report:
        learning = Learning(config, generators, report)
        _run(learning, RunFolder.create(config.run_dir, config, "energy learn"))
    return 0


def resume(folder: RunFolder) -> None:
    """Resume the unfinished round.

    Raises:
        InputError: if its data or its start are gone or broken.
    """
    config = folder.load_config(LearnConfig).model_copy(update={"run_dir": str(folder.path)})
    with folder.lock(), phases() as report:
        _run(Learning(config, _generators(config), report), folder)


def _generators(config: LearnConfig) -> list[Generator]:
    return [load_generator(name) for name in config.generators]


def _run(learning: Learning, folder: RunFolder) -> None:
    with folder.lock_and_log():
        learning.run()
        rows = read_metrics(folder.metrics_file)
        plot_rounds(rows, learning.plot_file)
        weights = learning.weights(-1)
        folder.write_summary({**rows[-1], "weights": str(weights)})
    print(f"rounds: {learning.plot_file}")
    print(f"weights: {weights}; use them as energy {weights.stem}:{weights}")
    print(format_table(rows[-1]))
