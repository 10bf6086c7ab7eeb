"""The commands that train, as all of them, ``resume`` and ``launch`` see them.

The tables are import strings, so that a config is checked without the libraries of its training.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from molrl.registry import Registry
from molrl.runs.config import Config, RunConfig, read_mapping, read_overrides

SCHEMAS = Registry(
    "command that trains",
    {
        "train": "molrl.cli.experiment:ExperimentConfig",
        "train generator": "molrl.generators.diffusion.config:DenoiserConfig",
        "energy fit": "molrl.fitting.config:FitConfig",
        "energy learn": "molrl.fitting.active.config:LearnConfig",
        "search": "molrl.generators.search.config:SearchConfig",
        "compare": "molrl.comparison.config:CompareConfig",
    },
)
"""The config of each, which has ``run_dir``, ``seed`` and the keys of :data:`LENGTHS`."""

BUILDERS = Registry(
    "command that trains",
    {
        "train": "molrl.cli.agent_run:build",
        "train generator": "molrl.cli.denoiser_run:build",
        "energy fit": "molrl.cli.fit_run:build",
        "energy learn": "molrl.cli.learn:build",
        "search": "molrl.cli.search_run:build",
        "compare": "molrl.comparison.run:build",
    },
)
"""``build(config, ranks)``: a context manager that makes the trainable, in its first state."""

LENGTHS = {
    "train": ("total_steps",),
    "train generator": ("total_steps",),
    "energy fit": ("steps",),
    "energy learn": ("rounds",),
    "search": ("energy_calls", "minutes"),
    "compare": ("seeds",),
}
"""The keys of the config that say how long the training is."""


def lengths_of(config: RunConfig, command: str) -> list[str]:
    """Return the keys of the config that end the run, so that more of them makes it longer.

    A search may have a limit of energies, of time, or of both.

    Args:
        config: of the run.
        command: one of :data:`LENGTHS`.
    """
    return [key for key in LENGTHS[command] if getattr(config, key) is not None]


def row_of(config: RunConfig) -> str:
    """Return the row of a config of ``molrl train``."""
    return "train generator" if "generator" in type(config).model_fields else "train"


def schema_for(schema: type[Config], file: str | None, overrides: Sequence[str]) -> Any:  # noqa: ANN401 - a config with run_dir
    """Return the schema of a config: ``molrl train`` trains an agent unless a generator is named.

    Args:
        schema: of the command.
        file: the YAML file; None without any.
        overrides: ``key.sub=value`` each.

    Raises:
        InputError: if the file cannot be read, or an override is written otherwise.
    """
    if schema is not SCHEMAS.load("train"):
        return schema
    keys = {**(read_mapping(Path(file)) if file else {}), **read_overrides(overrides)}
    return SCHEMAS.load("train generator" if "generator" in keys else "train")
