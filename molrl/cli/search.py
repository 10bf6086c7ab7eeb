"""``molrl search``: the isomers of a formula, in one ranked table."""

import json
from argparse import Namespace

from molrl.cli.configs import announce_loading
from molrl.errors import InputError
from molrl.generators.search.config import SearchConfig
from molrl.runs.config import config_from_overrides, override_defaults
from molrl.runs.folder import RunFolder
from molrl.tasks.fields import to_bag

_OPTIONS = (
    "seed",
    "energy",
    "device",
    "charge",
    "rings",
    "contains",
    "excludes",
    "methods",
    "minutes",
    "energy_calls",
)


def search(arguments: Namespace) -> int:
    """Search for the isomers of a formula; see :class:`SearchConfig`.

    A budget that is used up is a success.

    Args:
        arguments: of the command: ``bag``, the options, and ``overrides`` of the config.

    Returns:
        The exit code.

    Raises:
        InputError: if the config does not fit, or the run folder is not free; nothing is written
            then.
    """
    config = config_from_overrides(_overrides(arguments), SearchConfig)
    RunFolder(config.run_dir).ensure_new()
    announce_loading(config)
    from molrl.cli.loop import start  # it imports PyTorch

    start("search", config)
    return 0


def _overrides(arguments: Namespace) -> list[str]:
    """Return ``key=value`` for each option that was given, and those of the user."""
    formula = to_bag(arguments.bag).formula
    defaults = [f"run_dir=runs/search-{formula}"]
    if arguments.minutes is not None:
        defaults.append("energy_calls=null")
    for override in arguments.overrides:
        if "=" not in override:
            raise InputError(
                f"molrl search: {override!r} is no key=value, and one FORMULA is taken"
            )
    options = [
        f"{key}={json.dumps(value)}"
        for key in _OPTIONS
        if (value := getattr(arguments, key)) not in (None, [])
    ]
    return override_defaults(defaults, [f"bag={formula}", *options, *arguments.overrides])
