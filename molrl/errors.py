"""The error that invalid input raises, and hints for its messages."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Invalid input: one line that names what is wrong and what would be right.

    The command line prints the line and exits with code 2.

    Args:
        message: the line; line breaks in it become spaces.
    """

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


def in_one_line(text: str) -> str:
    r"""Return a text with its line breaks, and the indents after them, as single spaces.

    Other spaces stay, as those of ``M  END`` and of names of files.

    Args:
        text: of any number of lines.

    Example:
        >>> in_one_line("a  b:\n  c")
        'a  b: c'
    """
    return " ".join(filter(None, map(str.strip, text.splitlines())))


class UnexpectedArgument(InputError, TypeError):
    """An unknown keyword argument; also a ``TypeError``, which Python raises for one."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to one that was given; None if none is near.

    Args:
        word: what was given.
        known: what would have been right.
    """
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1)), None)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint that ends an error message: the nearest known word, or all of them.

    Args:
        word: what was given.
        known: what would have been right.
        otherwise: what else can be done where no known word is near.

    Example:
        >>> did_you_mean("mcae", ["gfn2", "mace"])
        "did you mean 'mace'?"
        >>> did_you_mean("x", ["gfn2", "mace"])
        'known are: gfn2, mace'
    """
    names = sorted({str(name) for name in known})
    if near := nearest(word, names):
        return f"did you mean {near!r}?"
    return "; ".join(filter(None, [f"known are: {', '.join(names)}", otherwise]))
