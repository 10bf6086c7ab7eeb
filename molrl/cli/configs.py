"""The config of a command, checked before the libraries of the command are imported."""

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from molrl.bags import may_be_closed_shell
from molrl.cli.defaults import training_overrides
from molrl.cli.training import schema_for
from molrl.errors import InputError
from molrl.runs.config import (
    Config,
    config_from_overrides,
    load_config,
    override_defaults,
    read_mapping,
)
from molrl.runs.folder import RunFolder
from molrl.runs.progress import is_first_rank, log_message
from molrl.runs.yaml_text import read_yaml
from molrl.tasks import Task


def read_config(arguments: Namespace, schema: type[Config]) -> Config:
    """Return the config that the arguments of a command give, and check that its run is new.

    Args:
        arguments: ``config`` and ``overrides``: a YAML file with overrides, or overrides alone;
            of a training also ``bag`` and ``task``, which stand for a file.
        schema: the class of the config.

    Raises:
        InputError: if the config is invalid, or the folder of its run is not free.
    """
    given = [arguments.config, *arguments.overrides] if arguments.config else []
    file = given.pop(0) if given and not _is_override(given[0]) else None
    task = read_task(arguments)
    if file and task and not os.path.exists(file) and not file.endswith((".yaml", ".yml")):
        raise InputError(f"{file!r} is no key=value, and no CONFIG is taken beside --bag or --task")
    if file and task:
        hint = "to change the task of a config, write task=..."
        raise InputError(f"give a CONFIG, or --bag or --task, not both; {hint}")
    for override in given if task else []:
        if override.partition("=")[0].strip() in ("task", "task.bag"):
            raise InputError(f"--bag and --task give the task, and so does {override!r}; leave one")
    schema = schema_for(schema, file, given)
    if file:
        config = load_config(file, given, schema)
    elif task or given:
        defaults = training_overrides(task) if task else []
        config = config_from_overrides(override_defaults(defaults, given), schema)
    else:
        instead = ", or --bag FORMULA" if "bag" in arguments else ""
        program = arguments.parser.prog
        raise InputError(f"{program}: give a CONFIG{instead}; see {program} --help")
    run_dir = getattr(config, "run_dir", None)
    if run_dir is not None and is_first_rank():
        RunFolder(run_dir).ensure_new()
    return config


def read_task(arguments: Namespace) -> Any:  # noqa: ANN401 - plain data
    """Return the task that ``--bag`` or ``--task`` gives, as plain data; None if neither does.

    Args:
        arguments: of the command: ``bag``, a formula; ``task``, the path of a YAML file, or YAML: a
            formula, or the fields of a task. A command without a task has neither.

    Raises:
        InputError: if the file cannot be read, or is not YAML.
    """
    text = getattr(arguments, "task", None)
    if text is None:
        return getattr(arguments, "bag", None)
    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        data = read_mapping(path)
        if "task" in data:
            raise InputError(f"{path} is a config, which has a task; give a file of its task alone")
        return data
    return read_yaml(text, "--task")


def mention_invalid(task: Task, charge: object = 0) -> None:
    """Print that no molecule of a task can be valid, where its atoms alone say so.

    Args:
        task: what is made.
        charge: of the molecules, besides that of the task; generators check those of ions.
    """
    if charge or not is_first_rank():
        return
    if task.is_odd:
        log_message(f"{task} has an odd number of electrons, so that no molecule counts as valid")
    elif task.single_bag and not may_be_closed_shell(task.single_bag):
        log_message(f"the atoms of {task} form no molecule with all valences satisfied")


def announce_loading(config: Config) -> None:
    """Print where the run goes, if what follows takes seconds to import."""
    if "torch" not in sys.modules and is_first_rank():
        run_dir = getattr(config, "run_dir", None)
        where = f", the run goes to {run_dir}" if run_dir is not None else ""
        log_message(f"the config is read{where}; loading PyTorch")


def _is_override(text: str) -> bool:
    return "=" in text and not os.path.exists(text)
