"""``molrl compare``: all methods on the same tasks, with the same evaluator."""

from argparse import Namespace

from molrl.cli.configs import announce_loading, read_config
from molrl.comparison.config import CompareConfig
from molrl.errors import InputError


def compare(arguments: Namespace) -> int:
    """Compare generators, or merge comparisons that ran elsewhere; see :class:`CompareConfig`.

    Args:
        arguments: of the command: ``config`` and ``overrides``, or ``merge`` with ``run_dir=OUT``
            among its words.

    Returns:
        The exit code.

    Raises:
        InputError: if the config does not fit, the run folder is not free, or the comparisons to
            merge do not fit together; nothing is written then.
    """
    if arguments.merge is not None:
        return _merge(arguments)
    config = read_config(arguments, CompareConfig)
    announce_loading(config)
    from molrl.cli.loop import start  # it imports PyTorch

    assert isinstance(config, CompareConfig)  # as asked for
    start("compare", config)
    return 0


def _merge(arguments: Namespace) -> int:
    given = [arguments.config] if arguments.config else []
    words = [*arguments.merge, *given, *arguments.overrides]
    target = [word.partition("=")[2] for word in words if word.startswith("run_dir=")]
    runs = [word for word in words if not word.startswith("run_dir=")]
    if len(target) != 1 or not target[0]:
        raise InputError("molrl compare --merge: name the folder of the result with run_dir=OUT")
    if not runs:
        raise InputError("molrl compare --merge: name the runs to put together")
    from molrl.comparison.merge import merge  # it imports PyTorch

    for line in merge(runs, target[0]):
        print(line)
    return 0
