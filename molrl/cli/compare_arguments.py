"""The arguments of ``molrl compare`` besides those of its config."""

import argparse


def add_compare(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command besides those of its config.

    Args:
        command: the parser of the command.
    """
    command.set_defaults(schema="")  # of a merge there is no config
    command.add_argument(
        "--merge",
        metavar="RUN",
        nargs="+",
        help="instead of CONFIG: put the finished runs of comparisons together in run_dir=OUT",
    )
