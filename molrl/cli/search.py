"""``molrl search``: the isomers of a formula, in one ranked table."""

import json
from argparse import Namespace
from collections.abc import Iterator

from molrl.cli.configs import announce_loading
from molrl.errors import InputError
from molrl.generators.search.config import SearchConfig
from molrl.runs.config import config_from_overrides
from molrl.runs.folder import RunFolder
from molrl.tasks.fields import to_bag

_OPTIONS = ("seed", "energy", "device", "charge", "rings", "contains", "excludes", "methods")


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
    config = config_from_overrides(list(_overrides(arguments)), SearchConfig)
    RunFolder(config.run_dir).ensure_new()
    announce_loading(config)
    from molrl.cli.loop import start  # it imports PyTorch

    start("search", config)
    return 0


def _overrides(arguments: Namespace) -> Iterator[str]:
    """Yield ``key=value`` for each option that was given, then those of the user."""
    formula = to_bag(arguments.bag).formula
    yield f"bag={formula}"
    yield f"run_dir=runs/search-{formula}"
    for key in _OPTIONS:
        value = getattr(arguments, key)
        if value not in (None, []):
            yield f"{key}={json.dumps(value)}"
    if arguments.minutes is not None:
        yield f"minutes={arguments.minutes}"
    if arguments.energy_calls is not None or arguments.minutes is not None:
        yield f"energy_calls={json.dumps(arguments.energy_calls)}"
    for override in arguments.overrides:
        if "=" not in override:
            raise InputError(
                f"molrl search: {override!r} is no key=value, and one FORMULA is taken"
            )
        yield override
