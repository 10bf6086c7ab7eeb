"""The commands that train, as all of them, ``resume`` and ``launch`` see them.

The tables are import strings, so that a config is checked without the libraries of its training.
"""

from molrl.registry import Registry

SCHEMAS = Registry(
    "command that trains",
    {
        "train": "molrl.cli.experiment:ExperimentConfig",
        "energy fit": "molrl.fitting.config:FitConfig",
        "energy learn": "molrl.fitting.active.config:LearnConfig",
        "search": "molrl.generators.search.config:SearchConfig",
    },
)
"""The config of each, which has ``run_dir``, ``seed`` and the key of :data:`LENGTHS`."""

BUILDERS = Registry(
    "command that trains",
    {
        "train": "molrl.cli.agent_run:build",
        "energy fit": "molrl.cli.fit_run:build",
        "energy learn": "molrl.cli.learn:build",
        "search": "molrl.cli.search_run:build",
    },
)
"""``build(config, ranks)``: a context manager that makes the trainable, in its first state."""

LENGTHS = {
    "train": "total_steps",
    "energy fit": "steps",
    "energy learn": "rounds",
    "search": "energy_calls",
}
"""The key of the config that says how long the training is."""
