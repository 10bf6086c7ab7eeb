"""Elements by the words that files have for them."""

import re
from functools import lru_cache

from ase.data import atomic_numbers, chemical_symbols

from molrl.errors import InputError

_DUMMY = re.compile(
    r"0|\*.*|\?|@.+|[XQRALM]|R#?\d*|X[XH]|EP|T[VX]|DU|LP|BQ|GH|(X|XX|Q|DU|LP|BQ|GH)[\d_(:-].*|"
    r"[A-Z][A-Z]?(-BQ|:)",
    re.IGNORECASE,
)
_LABEL = re.compile(r"([A-Za-z]{1,2})(?:_?\d{1,4}|_)[A-Za-z']?")


@lru_cache(maxsize=4096)
def element(word: str) -> tuple[int, str]:
    """Return the atomic number that a word stands for, and what is to be said about it.

    Args:
        word: a symbol in any case, an atomic number, ``D`` or ``T``, or a label such as ``C12``.

    Returns:
        The atomic number, and a remark or ``""``.

    Raises:
        InputError: if it is a dummy or ghost atom, or no element.

    Example:
        >>> element("Cl"), element("D")
        ((17, ''), (1, 'D is read as H'))
    """
    symbol = word.capitalize()
    if number := atomic_numbers.get(symbol, 0):
        return number, ""
    if word in ("D", "T", "d", "t"):
        return 1, f"{word.upper()} is read as H"
    if word.isascii() and word.isdigit() and 0 < int(word[:9]) < len(chemical_symbols):
        return int(word[:9]), "atomic numbers are read as elements"
    if _DUMMY.fullmatch(word):
        raise InputError(
            f"{word[:40]!r} is a dummy or ghost atom and no element; remove it from the file"
        )
    label = _LABEL.fullmatch(word)
    if label and _is_unmistakable(label[1]):
        number = atomic_numbers.get(label[1].capitalize(), 1)
        return number, "labels such as C1 are read as elements"
    raise InputError(f"{word[:40]!r} is not an element symbol such as C or Cl")


def _is_unmistakable(letters: str) -> bool:
    """Return whether letters of a label are one element: CA1 may be calcium or an alpha carbon."""
    if letters.capitalize() not in atomic_numbers:
        return letters in ("D", "T")
    first_too = letters[0].upper() in atomic_numbers
    return len(letters) == 1 or letters[1].islower() or letters in ("CL", "BR") or not first_too
