"""The arguments of ``molrl search``, which stand for keys of its config."""

import argparse
import math


def add_search(command: argparse.ArgumentParser) -> None:
    """Add the arguments; what no option stands for is given as ``key=value``.

    Args:
        command: the parser of the command.
    """
    command.add_argument("bag", metavar="FORMULA", help="such as C4H7N")
    command.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        default=[],
        help="keys of the config, listed below",
    )
    command.set_defaults(words_after="overrides")
    command.add_argument(
        "--energy-calls",
        metavar="N",
        type=_budget,
        help="energy evaluations at most, relaxations included; default: 20000, or no limit where "
        "there are --minutes",
    )
    command.add_argument("--minutes", metavar="T", type=_minutes, help="wall time at most")
    command.add_argument(
        "--method",
        metavar="NAME",
        dest="methods",
        action="append",
        default=[],
        help="generator that searches, such as random-search, or run:RUN for a trained agent; may "
        "be repeated",
    )
    for option, key, which in (("--with", "contains", "have"), ("--without", "excludes", "lack")):
        command.add_argument(
            option,
            metavar="SMARTS",
            dest=key,
            action="append",
            default=[],
            help=f"substructure that isomers must {which}; may be repeated",
        )
    command.add_argument(
        "--rings",
        metavar="N",
        type=_whole_number,
        help="number of rings: bonds above those of a tree, 5 in cubane; default: any",
    )
    command.add_argument(
        "--charge", metavar="Q", type=_whole_number, help="total charge, e; default: 0"
    )
    command.add_argument("--energy", metavar="NAME", help="energy model; default: mace")
    command.add_argument("--device", metavar="NAME", help="auto, cpu or cuda; default: auto")
    command.add_argument(
        "--seed", metavar="SEED", type=_whole_number, help="of the random numbers; default: 0"
    )


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes <= 1_000_000:
        raise argparse.ArgumentTypeError(f"invalid time {text!r}; give more than 0 minutes")
    return minutes


def _budget(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:13]) <= 10**12:
        raise argparse.ArgumentTypeError(f"invalid number {text!r}; give 1 to 10^12")
    return int(text)


def _whole_number(text: str) -> int:
    if not text.removeprefix("-").isdecimal():
        raise argparse.ArgumentTypeError(f"invalid number {text!r}; give a whole number")
    return int(text)
