"""Connection tables of MDL files (V2000 and V3000), checked where parsers guess."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from molrl.errors import InputError
from molrl.reading.elements import element

# RDKit reads "1,2000" as 1, "--1.2" as 0 and "******" as 0.
_FIXED = re.compile(r" *[-+]?(\d+\.?\d*|\.\d+) *", re.ASCII)
_FREE = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_COUNT = re.compile(r" *\d+ *", re.ASCII)
# Lines of charges, radicals and isotopes: a number of pairs, and the pairs. Others are left out.
_PROPERTY = re.compile(r"M\s*(CHG|RAD|ISO)\b", re.IGNORECASE)
_PAIRS = re.compile(r"M  (?:CHG|RAD|ISO)( *\d+)((?:[ \d]{3}\d[- \d]{3}\d)*) *", re.ASCII)
_VALUE = re.compile(r"(CHG|RAD|MASS)\b(?!=-?\d+$)|(?!CHG|RAD|MASS)(?i:chg|rad|mass)=", re.ASCII)
_CHARGE_CODES = frozenset(["", *map(str, range(8))])
HEADER = 4  # lines before the atoms
END = "M  END"
ORDERS = "1, 2, 3 or 4 (aromatic)"
_ORDINARY = frozenset({"1", "2", "3", "4"})
# None, those of queries (5 to 8), a dative (9) and a hydrogen bond (10): no number of electrons
_OTHER_ORDERS = frozenset({"0", "5", "6", "7", "8", "9", "10"})


@dataclass(frozen=True)
class ConnectionTable:
    """What the text of a connection table says, before a toolkit reads it.

    Attributes:
        words: the element of each atom as it is written.
        positions: ``(n, 3)`` Å.
        radicals: MDL's radical of the atoms that have one: 1 singlet, 2 doublet, 3 triplet.
        odd_orders: orders other than single, double, triple and aromatic by the number of the bond.
    """

    words: Sequence[str]
    positions: np.ndarray
    radicals: Sequence[int]
    odd_orders: Mapping[int, str]

    @property
    def is_flat(self) -> bool:
        """Whether all atoms have z = 0."""
        return not self.positions[:, 2].any()

    @property
    def remarks(self) -> list[str]:
        """What is to be said about the elements."""
        return [remark for _, remark in map(element, dict.fromkeys(self.words)) if remark]


def read_table(lines: Sequence[str]) -> ConnectionTable:
    """Read the connection table of a record.

    Args:
        lines: of the record, the three of the header first.

    Raises:
        InputError: if it is truncated or longer than it says, a coordinate is no number in its
            columns, an atom is no element, or a bond is not between two atoms or has an order that
            there is not.
    """
    if len(lines) < HEADER:
        raise InputError("it is corrupted or empty: there is no counts line")
    table = _read_v3000(lines) if "V3000" in lines[HEADER - 1] else _read_v2000(lines)
    if not table.words:
        raise InputError("it is corrupted or empty: there are no atoms")
    for number, word in enumerate(table.words, start=1):
        try:
            _, remark = element(word)
        except InputError as error:
            raise InputError(f"atom {number}: {error}") from None
        if word[0].islower() or (remark and word not in ("D", "T")):  # which RDKit does not read
            raise InputError(f"atom {number}: {word!r} is not an element symbol such as C or Cl")
    return table


def _read_v2000(lines: Sequence[str]) -> ConnectionTable:
    counts = lines[HEADER - 1]
    fields = counts[:3], counts[3:6].strip() or "0"
    if not all(map(_COUNT.fullmatch, fields)):
        raise InputError(f"it is corrupted: {counts.strip()[:40]!r} is not a counts line")
    n_atoms, n_bonds = map(int, fields)
    end = next((i for i, line in enumerate(lines) if line.rstrip() == END), len(lines))
    if HEADER + n_atoms + n_bonds > end:
        raise InputError(
            f"it is corrupted: its counts line says {n_atoms} atoms and {n_bonds} bonds, for which "
            "it is too short"
        )
    after = lines[HEADER + n_atoms + n_bonds : end]
    for line in after:
        if line.startswith("M  ALS"):
            atom = line[7:10].strip()
            raise InputError(f"atom {atom} is a list of elements (M  ALS); write one element")
        _check_property(line)
    words, coordinates = [], []
    for number, line in enumerate(lines[HEADER : HEADER + n_atoms], start=1):
        xyz = [line[start : start + 10] for start in (0, 10, 20)]
        if not all(map(_FIXED.fullmatch, xyz)):
            raise _bad_atom(number, line[:30], "three numbers in columns of 10 characters")
        if line[36:39].strip() not in _CHARGE_CODES:
            raise _bad_atom(
                number, line[36:39], "a code of its charge, 0 to 7, in columns 37 to 39"
            )
        words.append(line[31:34].strip())
        coordinates.append(xyz)
    bonds = lines[HEADER + n_atoms : HEADER + n_atoms + n_bonds]
    rows = ((line, (line[:3], line[3:6]), line[6:9].strip().lstrip("0") or "0") for line in bonds)
    odd_orders = _check_bonds(rows, range(1, n_atoms + 1), " in columns of 3 characters")
    radicals = [
        int(word)
        for line in after
        if line.startswith("M  RAD")
        for word in line[9:].split()[1::2]
        if word.isascii() and word.isdecimal()
    ]
    return ConnectionTable(words, np.array(coordinates, dtype=float), radicals, odd_orders)


def _check_property(line: str) -> None:
    """Refuse a line of charges, radicals or isotopes that is cut off or not in its columns."""
    kind = _PROPERTY.match(line)
    pairs = _PAIRS.fullmatch(line)
    if kind and not (pairs and len(pairs[1]) == 3 and len(pairs[2]) == 8 * int(pairs[1])):
        raise InputError(
            f"{line.rstrip()[:40]!r} is not 'M  {kind[1].upper()}', a number of pairs in 3 "
            "columns, and pairs of an atom and a whole number in columns of 4"
        )


def _check_bonds(
    bonds: Iterable[tuple[str, Sequence[str], str]], atoms: Collection[int], where: str = ""
) -> dict[int, str]:
    """Refuse bonds that are not between two atoms, repeated, or of an order that there is not.

    Args:
        bonds: the line of each bond, and what it has for the numbers of its two atoms and for its
            order.
        atoms: the numbers of all atoms.
        where: the numbers stand in a line, for the message.

    Returns:
        The orders that are not ordinary, by the number of the bond.
    """
    found, odd_orders = set(), {}
    for number, (line, fields, order) in enumerate(bonds, start=1):
        ends = [int(field) for field in fields if _COUNT.fullmatch(field)]
        pair = frozenset(end for end in ends if end in atoms)
        if len(pair) != 2 or pair in found:
            raise InputError(
                f"bond {number} has {line.rstrip()[:40]!r}, not a new pair of the {len(atoms)} "
                f"atoms{where}"
            )
        if order not in _ORDINARY | _OTHER_ORDERS:
            raise InputError(f"bond {number} has the order {order[:40]!r}, not {ORDERS}")
        found.add(pair)
        if order not in _ORDINARY:
            odd_orders[number] = order
    return odd_orders


def _read_v3000(lines: Sequence[str]) -> ConnectionTable:
    sections = _sections(lines)
    words: list[str] = []
    coordinates: list[list[str]] = []
    radicals: list[int] = []
    numbers: set[int] = set()
    for line in sections.get("ATOM", []):
        fields = line.split()
        if len(fields) < 5 or not all(map(_FREE.fullmatch, fields[2:5])):
            raise _bad_atom(len(words) + 1, line, "index, element and three numbers")
        if not _COUNT.fullmatch(fields[0]) or int(fields[0]) in numbers:
            raise _bad_atom(len(words) + 1, line, "an index of its own")
        if wrong := next(filter(_VALUE.match, fields[5:]), None):
            raise _bad_atom(len(words) + 1, wrong, "CHG=, RAD= or MASS= with a whole number")
        numbers.add(int(fields[0]))
        words.append(fields[1])
        coordinates.append(fields[2:5])
        radicals += [int(text[4:]) for text in fields if re.fullmatch(r"RAD=\d", text)]
    bonds = sections.get("BOND", [])
    given = next((line.split()[1:3] for line in sections[""] if line.startswith("COUNTS ")), [])
    if given != [str(len(words)), str(len(bonds))]:
        raise InputError(
            f"it is corrupted: it has {len(words)} atoms and {len(bonds)} bonds, but its counts "
            f"line says {' '.join(given)[:40]!r}"
        )
    rows = ((line, line.split()) for line in bonds)
    odd_orders = _check_bonds(((line, row[2:4], "".join(row[1:2])) for line, row in rows), numbers)
    return ConnectionTable(words, np.array(coordinates, dtype=float), radicals, odd_orders)


def _sections(lines: Sequence[str]) -> dict[str, list[str]]:
    """Return the lines of a V3000 table by their section; those outside by an empty name."""
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in _joined(lines):
        if line.startswith(("BEGIN ", "END ")):
            name = line[6:] if line in ("BEGIN ATOM", "BEGIN BOND") else ""
        else:
            sections.setdefault(name, []).append(line)
    return sections


def _joined(lines: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a V3000 table without their prefix, continuation lines joined."""
    parts: list[str] = []
    for line in lines:
        if line.startswith("M  V30 "):
            part = line[7:].rstrip()
            parts.append(part.removesuffix("-"))
            if not part.endswith("-"):
                yield "".join(parts).strip()
                parts = []


def _bad_atom(number: int, text: str, right: str) -> InputError:
    return InputError(f"atom {number} has {text.strip()[:60]!r}, not {right}")
