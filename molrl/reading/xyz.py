"""XYZ files: plain, extended, and the raw ones of QM9 (Ramakrishnan et al., 2014)."""

import re
from collections.abc import Sequence

import numpy as np
from ase.data import atomic_masses

from molrl.errors import InputError
from molrl.reading.charges import (
    Claim,
    bare_claims,
    claims_of_atoms,
    claims_of_comment,
    mentions_charge,
    whole_sum,
)
from molrl.reading.comments import Columns, name_of, read_cell, read_columns
from molrl.reading.elements import element
from molrl.reading.notes import Notes
from molrl.reading.structures import (
    MAX_ATOMS,
    FileStructure,
    element_of,
    of_molecule,
)

MAX_COMMENT = 300_000  # characters
_UNIT = re.compile(
    r"\b(bohr|a\.u\.|atomic units)(?!\w)|\bunits?\W{1,3}(nm|nanomet\w+|pm|picomet\w+|au)\b",
    re.IGNORECASE,
)
_DECIMAL = re.compile(r"[-+]?(\d+\.\d*|\.\d+)([eEdD][-+]?\d+)?")
_WHOLE = re.compile(r"[-+]?\d+")
QM9_LINES = 3  # after the atoms: frequencies, SMILES, InChI


def read_xyz(lines: Sequence[str], notes: Notes) -> list[FileStructure]:
    """Read the frames of an XYZ file.

    Args:
        lines: of the file.
        notes: where it is noted what is read otherwise than it stands there, or left out.

    Returns:
        The structures, in order.

    Raises:
        InputError: if a frame is corrupted; the message names it by its index, and the line.
    """
    structures: list[FileStructure] = []
    end = next((i for i in range(len(lines), 0, -1) if lines[i - 1].strip()), 0)
    lines = lines[:end]
    i = 0
    while i < len(lines):
        found = len(structures)
        if not _is_count(lines[i]):
            _check_rest(lines, i, found, notes)
            break
        count = _count(lines, i, found)
        try:
            structures.append(_frame(lines[i + 1 : i + 2 + count], i + 2, found, notes))
        except InputError as error:
            raise of_molecule(found, error) from None
        i += 2 + count
        if lines[i - count - 1].startswith("gdb"):
            i = _after_qm9(lines, i)
    return structures


def _is_count(line: str) -> bool:
    line = line.strip()
    return line.isascii() and line.isdigit()


def _count(lines: Sequence[str], i: int, found: int) -> int:
    """Return the number of atoms of a frame, which the file can hold."""
    count = lines[i].strip()
    if len(count) > 9 or not 0 < int(count) <= MAX_ATOMS:
        raise InputError(f"line {i + 1}: {count[:40]} atoms; a molecule must have 1 to {MAX_ATOMS}")
    if i + 2 + int(count) > len(lines):
        raise InputError(f"the file ends within molecule {found} of {count} atoms")
    return int(count)


def _check_rest(lines: Sequence[str], i: int, found: int, notes: Notes) -> None:
    """Check that what follows the last frame is no molecule, and note it."""
    rest = [line for line in lines[i:] if line.strip()]
    if not rest:
        return
    if not found:
        if not lines[i].strip():
            raise InputError(f"line {i + 1} is empty, but should be the number of atoms")
        raise InputError(f"line {i + 1}: {lines[i].strip()[:40]!r} is not a number of atoms")
    if _is_atom(rest[0]):
        raise InputError(f"molecule {found - 1} has more atoms than its first line says")
    if any(_starts_frame(lines, j) for j in range(i, len(lines))):
        raise InputError(f"line {i + 1} is no number of atoms, but molecules follow; remove it")
    if any(_is_atom(line) for line in rest[1:]):
        raise InputError(
            f"line {i + 1}: {lines[i].strip()[:40]!r} is not a number of atoms, but atoms follow"
        )
    notes.add(found - 1, "the text after the last molecule is left out")


def _starts_frame(lines: Sequence[str], i: int) -> bool:
    return _is_count(lines[i]) and i + 2 < len(lines) and _is_atom(lines[i + 2])


def _is_atom(line: str) -> bool:
    words = line.split()
    if len(words) < 4:
        return False
    try:
        element(words[0])
        [_number(word) for word in words[1:4]]
    except ValueError:
        return False
    return True


def _after_qm9(lines: Sequence[str], i: int) -> int:
    """Return the index of the line after those that QM9 has after the atoms."""
    end = i
    while (
        end < min(i + QM9_LINES, len(lines))
        and lines[end].strip()
        and not _starts_frame(lines, end)
    ):
        end += 1
    return end


def _frame(lines: Sequence[str], line: int, index: int, notes: Notes) -> FileStructure:
    """Return the structure of a frame.

    Args:
        lines: the comment and the atoms.
        line: number of the comment line.
        index: of the molecule.
        notes: of the file.
    """
    comment = lines[0]
    if len(comment) > MAX_COMMENT:
        raise InputError(f"line {line} has {len(comment)} characters; at most {MAX_COMMENT}")
    columns = read_columns(comment)
    rows = [text.split() for text in lines[1:]]
    for k, row in enumerate(rows):
        if len(row) < columns.total:
            raise InputError(
                f"line {line + 1 + k}: {lines[1 + k].strip()[:40]!r} has {len(row)} columns, not "
                f"{columns.total}: element, x, y, z"
            )
    numbers = _elements(rows, columns, line, index, notes)
    positions = _coordinates(rows, columns, line)
    if columns == Columns():
        _check_columns(rows, numbers, positions[:, 0])
    if unit := _UNIT.search(comment):
        said = (unit[1] or unit[2]).lower()
        notes.add(index, f"coordinates are read in Å, though the comment says {said}", "unit")
    if "move_mask" in comment:
        notes.add(index, "move_mask is left out: no atom is fixed")
    claims = claims_of_comment(comment)
    bare = [] if claims else bare_claims(comment)
    if not claims and mentions_charge(comment):
        notes.add(index, f"{comment.strip()[:40]!r} is a comment; charge=-1 would be read", "hint")
    cell, pbc = read_cell(comment)
    if not any(pbc):
        if columns.charges is None and not any(claim.kind == "charge" for claim in claims):
            claims += _partial_claims(rows, columns, numbers, index, notes)
        claims += _column_claims(rows, columns, claims, numbers)
    return FileStructure(numbers, positions, claims, bare, cell, pbc, name_of(comment))


def _elements(
    rows: Sequence[Sequence[str]], columns: Columns, line: int, index: int, notes: Notes
) -> list[int]:
    numbers = []
    for k, row in enumerate(rows):
        try:
            numbers.append(element_of(row[columns.species], index, notes))
        except InputError as error:
            raise InputError(f"line {line + 1 + k}: {error}") from None
    return numbers


def _coordinates(rows: Sequence[Sequence[str]], columns: Columns, line: int) -> np.ndarray:
    first, last = columns.position, columns.position + 3
    positions = np.empty((len(rows), 3))
    for k, row in enumerate(rows):
        try:
            positions[k] = [_number(word) for word in row[first:last]]
        except ValueError:
            text = " ".join(row[first:last])
            raise InputError(
                f"line {line + 1 + k}: {text[:60]!r} must be three coordinates"
            ) from None
    return positions


def _number(word: str) -> float:
    """Return a number, also one in Fortran's or Mathematica's notation (1.2D-3, 1.2*^-3)."""
    try:
        number = float(word)
    except ValueError:
        number = float(re.sub(r"(?<=[\d.])(?:[dD]|\*\^)(?=[-+]?\d)", "e", word))
    if "_" in word:  # Python's own, in no file
        raise ValueError(word)
    return number


def _check_columns(
    rows: Sequence[Sequence[str]], numbers: Sequence[int], first: np.ndarray
) -> None:
    """Refuse columns between element and x, which would be read as coordinates.

    They are nuclear charges, masses, indices, or flags of atoms that are fixed, as Gaussian and
    MOPAC have them.

    Args:
        rows: words of the lines of atoms.
        numbers: ``(n,)`` atomic numbers.
        first: ``(n,)`` what is read as x.
    """
    width = min(map(len, rows))
    if width < 5:
        return
    right = "give element, x, y, z"
    of_nuclei = {"numbers": np.array(numbers), "masses": atomic_masses[list(numbers)]}
    for what, values in of_nuclei.items():
        if len(rows) > 1 and np.allclose(first, values, rtol=0, atol=0.01):
            raise InputError(f"the second column repeats the atomic {what}; {right}")
    columns = [[row[k] for row in rows] for k in range(1, width)]
    whole = [k for k in range(3) if all(map(_WHOLE.fullmatch, columns[k]))]
    decimal = sum(all(map(_DECIMAL.fullmatch, column)) for column in columns)
    if 0 < len(whole) < 3 <= decimal:  # three whole ones are the coordinates of a grid
        raise InputError(
            f"column {whole[0] + 2} has whole numbers only, such as an index or a flag; {right}, or"
            " write coordinates with a decimal point"
        )


def _column_claims(
    rows: Sequence[Sequence[str]],
    columns: Columns,
    claims: Sequence[Claim],
    numbers: Sequence[int],
) -> list[Claim]:
    """Return what ASE's columns of initial charges and magnetic moments state."""
    values = []
    for column in (columns.charges, columns.moments):
        try:
            values.append(
                None if column is None else np.array([_number(row[column]) for row in rows])
            )
        except ValueError:
            raise InputError("an initial charge or magnetic moment is not a number") from None
    return claims_of_atoms(claims, numbers, *values)


def _partial_claims(
    rows: Sequence[Sequence[str]],
    columns: Columns,
    numbers: Sequence[int],
    index: int,
    notes: Notes,
) -> list[Claim]:
    """Return what the charges of atoms add up to, where that is a charge; note where it is none."""
    if columns.partial is None:
        return []
    try:
        charges = np.array([_number(row[columns.partial]) for row in rows])
    except ValueError:  # such as a label
        return []
    if np.array_equal(charges, numbers):  # of the nuclei
        return []
    try:
        total = whole_sum(charges, "charges of atoms")
    except InputError as error:
        notes.add(index, f"{error}: they are left out", "partial")
        return []
    return [Claim("charge", total, f"charges of atoms that sum to {total}")] if total else []
