"""Comment lines of XYZ files: free text, or the keys of extended XYZ."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from molrl.errors import InputError
from molrl.reading.charges import QUOTED

MAX_COLUMNS = 100  # of one property
_VALUE = r"""(?P<value>"[^"]*"|'[^']*'|\[[^=]*\]|\{[^}]*\}|[^\s"'\[{]*)"""
_PROPERTIES = re.compile(rf"(?<![\w.-])Properties\s*=\s*{_VALUE}", re.IGNORECASE)
_LATTICE = re.compile(rf"(?<![\w.-])Lattice\s*=\s*{_VALUE}", re.IGNORECASE)
_PBC = re.compile(rf"(?<![\w.-])pbc\s*=\s*{_VALUE}", re.IGNORECASE)
# Quoted values of other keys are matched, too, so that no name is found within them.
_NAME = re.compile(
    rf"(?<![\w.-])(?:name|title)\s*=\s*(?P<value>{QUOTED}|\[[^=\]]*\](?!\S)|\{{[^}}=]*\}}|\S*)"
    rf"|=\s*(?:{QUOTED})",
    re.IGNORECASE,
)
_BOOLEANS = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}


@dataclass(frozen=True)
class Columns:
    """The columns of the atom lines of an XYZ file.

    Attributes:
        species: of the element, as a symbol or atomic number.
        position: the first of three.
        total: at least so many words a line has.
        charges: of ASE's initial charges, or None.
        moments: of ASE's initial magnetic moments, or None.
        partial: of the charges of atoms that a calculation gave, or None.
    """

    species: int = 0
    position: int = 1
    total: int = 4
    charges: int | None = None
    moments: int | None = None
    partial: int | None = None


def read_columns(comment: str) -> Columns:
    """Return the columns that a comment line describes.

    Args:
        comment: the line; one without ``Properties=`` stands for element, x, y, z.

    Raises:
        InputError: if the properties are not ``name:type:columns``, or lack species or positions.
    """
    match = _PROPERTIES.search(comment)
    words = _strip(match["value"]).split(":") if match else []
    if len(words) < 2:
        return Columns()
    starts, start = {}, 0
    for name, kind, width in zip(words[::3], words[1::3], words[2::3], strict=False):
        if not re.fullmatch(r"\d{1,9}", width) or kind.upper() not in ("R", "I", "S", "L"):
            raise InputError(
                f"Properties must be name:type:columns, not {match and match[0][:60]!r}"
            )
        if int(width) > MAX_COLUMNS:
            raise InputError(f"the property {name[:40]} has {width} columns; at most {MAX_COLUMNS}")
        starts[name] = (start, int(width))
        start += int(width)
    if len(words) % 3:
        raise InputError(f"Properties must be name:type:columns, not {match and match[0][:60]!r}")
    position = starts.get("pos", starts.get("positions", (0, 0)))
    species = next(
        (starts[key] for key in ("species", "symbols", "Z", "numbers") if key in starts), None
    )
    if position[1] != 3 or species is None or species[1] != 1:
        raise InputError("Properties lack species:S:1 or pos:R:3")
    charges, moments = (_single(starts, f"initial_{name}") for name in ("charges", "magmoms"))
    partial = _single(starts, "charge" if "charge" in starts else "charges")
    return Columns(species[0], position[0], start, charges, moments, partial)


def read_cell(comment: str) -> tuple[np.ndarray, Sequence[bool]]:
    """Return the cell that a comment line gives.

    Args:
        comment: the line.

    Returns:
        ``cell (3, 3)`` Å, rows are cell vectors, 0 without one, and ``pbc``; a cell is periodic
        along all vectors unless ``pbc`` says otherwise.

    Raises:
        InputError: if ``Lattice`` is not nine numbers, or ``pbc`` not three of T and F.
    """
    if "=" not in comment:
        return np.zeros((3, 3)), (False, False, False)
    lattice, pbc = _LATTICE.search(comment), _PBC.search(comment)
    cell = np.zeros((3, 3)) if lattice is None else _lattice(lattice["value"])
    return cell, _periodicity(pbc["value"]) if pbc else (lattice is not None,) * 3


def _lattice(value: str) -> np.ndarray:
    words = _words(value)
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) == 3:
        return np.diag(numbers)
    if len(numbers) != 9:
        raise InputError(f"Lattice must be nine numbers in quotes, not {value[:60]!r}")
    return np.array(numbers).reshape(3, 3)


def _periodicity(value: str) -> Sequence[bool]:
    found = [_BOOLEANS.get(word.lower()) for word in _words(value)]
    found = found * 3 if len(found) == 1 else found
    if len(found) != 3 or None in found:
        raise InputError(f"pbc must be three of T and F in quotes, not {value[:60]!r}")
    return [bool(one) for one in found]


def _single(starts: dict[str, tuple[int, int]], name: str) -> int | None:
    start, width = starts.get(name, (0, 0))
    return start if width == 1 else None


def _strip(value: str) -> str:
    return value.strip("\"' ")


def _words(value: str) -> list[str]:
    return re.sub(r"""["'\[\]{},]""", " ", value).split()


def name_of(comment: str) -> str:
    """Return the value of the key ``name`` or ``title`` of a comment; empty without one, or ``-``.

    Args:
        comment: the line.

    Example:
        >>> name_of('Properties=species:S:1:pos:R:3 name="my water"')
        'my water'
    """
    values = (match["value"] for match in _NAME.finditer(comment))
    value = next((value for value in values if value is not None), "")
    name = _unescaped(value)
    return "" if name == "-" else name


def _unescaped(value: str) -> str:
    """Return the text that ASE has written as a value, or the value itself where it is no text."""
    from ase.io.extxyz import key_val_str_to_dict

    if "[" in value and value[0] not in "\"'":  # SMILES, which ASE would have quoted
        return value
    found = None
    with suppress(ValueError, RecursionError):  # of JSON that is none, or too deep
        found = key_val_str_to_dict(f"name={value}").get("name")
    return found.strip() if isinstance(found, str) else _strip(value)
