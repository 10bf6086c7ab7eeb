"""Molecules in PDB files, with all hydrogens."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from molrl.errors import InputError
from molrl.reading.charges import Claim
from molrl.reading.hydrogens import check_coordination
from molrl.reading.notes import Notes
from molrl.reading.structures import (
    MAX_ATOMS,
    FileStructure,
    element_of,
    note_odd_electrons,
    of_molecule,
)

NO_CELL = ["1.000", "1.000", "1.000"]  # what programs write for molecules without a cell
_COORDINATES_END = 54  # columns; a number that is cut off is another one
_AMBIGUOUS = {"HG  ", "HE  ", "HF  ", "HO  "}  # names in columns 13 to 16
_ORGANIC = {"C": "carbon", "N": "nitrogen", "O": "oxygen"}
# Names of carbon, nitrogen and oxygen in amino acids, if they are followed by a number.
_NUMBERED = {"CA", "CD", "CE", "ND", "NE", "NH", "OG"}
_BOND = 1.3  # Å; metals and noble gases of such names are farther from all atoms


def read_pdb(lines: Sequence[str], notes: Notes) -> list[FileStructure]:
    """Read the models of a PDB file.

    Args:
        lines: of the file.
        notes: where it is noted what is read otherwise than it stands there, or left out.

    Returns:
        The structures, in order.

    Raises:
        InputError: if an atom is corrupted or has alternative places, or hydrogens are missing; the
            message names the model by its index.
    """
    structures = []
    for index, atoms in enumerate(_models(lines)):
        try:
            structures.append(_structure(atoms, index, notes))
        except InputError as error:
            raise of_molecule(index, error) from None
    cells = [line for line in lines if line.startswith("CRYST1")]
    if structures and cells and cells[0].split()[1:4] != NO_CELL:
        notes.add(0, "the cell (CRYST1) is left out")
    return structures


def _models(lines: Sequence[str]) -> Iterator[list[str]]:
    atoms: list[str] = []
    for line in lines:
        if line.startswith(("ATOM  ", "HETATM")):
            atoms.append(line)
        elif line.startswith(("END", "MODEL")) and atoms:  # or one of several files in a row
            yield atoms
            atoms = []
    if atoms:
        yield atoms


def _structure(atoms: Sequence[str], index: int, notes: Notes) -> FileStructure:
    if len(atoms) > MAX_ATOMS:
        raise InputError(f"it has {len(atoms)} atoms; the limit is {MAX_ATOMS}")
    positions = _positions(atoms)
    numbers, charge = [], 0
    for i, line in enumerate(atoms):
        try:
            numbers.append(element_of(_symbol(line, positions, i), index, notes))
        except InputError as error:
            raise InputError(f"atom {i + 1}: {error}") from None
        charge += _charge(line, index, notes)
    check_coordination(numbers, positions)
    claims = [Claim("charge", charge, "charges of atoms")] if charge else []
    structure = FileStructure(numbers, positions, claims)
    note_odd_electrons(structure, index, notes)
    return structure


def _positions(atoms: Sequence[str]) -> np.ndarray:
    positions = np.empty((len(atoms), 3))
    for i, line in enumerate(atoms):
        if line[16:17].strip():
            raise InputError(f"atom {i + 1} has alternative places; keep one of them")
        if len(line.rstrip("\r\n")) < _COORDINATES_END:
            raise InputError(f"atom {i + 1} ends within its coordinates, columns 31 to 54")
        try:
            positions[i] = [float(line[start : start + 8]) for start in (30, 38, 46)]
        except ValueError:
            raise InputError(
                f"atom {i + 1} has {line[30:54].strip()!r}, not three numbers in columns of 8 "
                "characters"
            ) from None
    return positions


def _symbol(line: str, positions: np.ndarray, i: int) -> str:
    """Return the element in columns 77 and 78, or that which the columns of the name say."""
    symbol = line[76:78].strip()
    name = line[12:16]
    if symbol.isdigit():  # line numbers of files that are older than the column
        raise InputError(
            f"{symbol!r} in columns 77 and 78 is not an element symbol such as C or CL"
        )
    if symbol:
        return symbol
    if name in _AMBIGUOUS:
        raise _ambiguous(name, "hydrogen", name.strip())
    if not name[:1].strip() or name[:1].isdigit() or name.startswith("H"):
        return "H" if name.startswith("H") else name[1:2]
    letters = name[:2].strip("0123456789 ")
    if _is_organic(name, letters, positions, i):
        raise _ambiguous(name, _ORGANIC[letters[0]], letters)
    return letters


def _is_organic(name: str, letters: str, positions: np.ndarray, i: int) -> bool:
    """Return whether a name read as an element of two letters may be carbon and the like."""
    if len(letters) < 2 or letters[0] not in _ORGANIC or letters == "CL":
        return False
    if letters in _NUMBERED and re.search(r"\d", name):
        return True
    distances = np.linalg.norm(positions - positions[i], axis=1)
    return bool(np.sum(distances < _BOND) > 1)


def _ambiguous(name: str, organic: str, letters: str) -> InputError:
    return InputError(
        f"{name.strip()} may be {organic} or {letters.capitalize()}; write the element in "
        "columns 77 and 78"
    )


def _charge(line: str, index: int, notes: Notes) -> int:
    """Return the charge in columns 79 and 80: 2+ by the standard, but some programs write +2."""
    text = line[78:80].strip()
    if match := re.fullmatch(r"(\d?)([-+])|([-+])(\d)", text, re.ASCII):
        return int((match[2] or match[3]) + (match[1] or match[4] or "1"))
    if text.strip("0"):
        notes.add(index, f"{text!r} in columns 79 and 80 is no charge such as 2+: it is left out")
    return 0
