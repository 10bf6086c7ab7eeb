"""The one error that bad input raises, and the help it gives."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that is refused: one line that names what is wrong and what would be right.

    The command line prints the line and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class UnexpectedArgument(InputError, TypeError):
    """A keyword argument that is not known: a ``TypeError``, as Python raises and others expect."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that ends an error message: the nearest known word, else all of them.

    Args:
        word: what was given.
        known: what would have been right.

    Returns:
        ``"did you mean 'mace'?"`` or ``"known are: gfn2, mace"``.
    """
    names = sorted(str(name) for name in known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}"
