"""Tripos mol2 files, with all hydrogens."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from molrl.errors import InputError
from molrl.reading.charges import Claim, whole_sum
from molrl.reading.elements import element
from molrl.reading.hydrogens import check_hydrogens
from molrl.reading.notes import Notes
from molrl.reading.structures import (
    MAX_ATOMS,
    FileStructure,
    element_of,
    note_odd_electrons,
    of_molecule,
)

if TYPE_CHECKING:
    from rdkit.Chem import Mol

SECTION = "@<TRIPOS>"
# Types of atoms whose charge depends on their neighbours.
ION_TYPES = {"N.4", "C.cat", "O.co2"}
_CATIONS = {7: 4, 15: 4, 16: 3, 34: 3}  # bonds with which N, P, S and Se have a charge of +1


def read_mol2(lines: Sequence[str], notes: Notes) -> list[FileStructure]:
    """Read the molecules of a mol2 file; the partial charges add up to the charge.

    Args:
        lines: of the file.
        notes: where it is noted what is read otherwise than it stands there.

    Returns:
        The structures, in order.

    Raises:
        InputError: if a molecule is corrupted or lacks hydrogens; the message names it by its
            index.
    """
    structures = []
    for index, sections in enumerate(_molecules(lines)):
        try:
            structures.append(_structure(sections, index, notes))
        except InputError as error:
            raise of_molecule(index, error) from None
    return structures


def _molecules(lines: Sequence[str]) -> Iterator[dict[str, list[str]]]:
    """Yield the sections of each molecule."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith(SECTION):
            name = line[len(SECTION) :].strip()
            if name == "MOLECULE" and "MOLECULE" in sections:
                yield sections
                sections = {}
            current = sections.setdefault(name, [])
        elif not line.startswith("#") or current is sections.get("MOLECULE") == []:
            current.append(line)  # the title may begin with the sign of a comment
    if "MOLECULE" in sections:
        yield sections


def _structure(sections: dict[str, list[str]], index: int, notes: Notes) -> FileStructure:
    header = sections["MOLECULE"]
    rows = [line.split() for line in sections.get("ATOM", []) if line.strip()]
    bonds = [line.split() for line in sections.get("BOND", []) if line.strip()]
    count, n_bonds, *_ = [*(header[1].split() if len(header) > 1 else []), "", ""]
    if n_bonds.isdigit() and int(n_bonds) != len(bonds):
        raise InputError(f"it has {len(bonds)} bonds, but its counts line says {n_bonds!r}")
    if count != str(len(rows)):
        raise InputError(f"it has {len(rows)} atoms, but its counts line says {count!r}")
    if not 0 < len(rows) <= MAX_ATOMS:
        raise InputError(f"a molecule must have 1 to {MAX_ATOMS} atoms, not {count}")
    try:
        positions = np.array([[float(word) for word in row[2:5]] for row in rows])
        types = [row[5] for row in rows]
    except (ValueError, IndexError):
        positions, types = np.empty(0), []
    if positions.shape != (len(rows), 3) or any(kind.isdigit() for kind in types):
        raise InputError("an atom is not: number, name, x, y, z, type")
    if foreign := next((kind for kind in types if kind[0].islower()), None):
        # GAFF's ca is an aromatic carbon, not calcium.
        raise InputError(
            f"the atom type {foreign[:20]!r} is not of SYBYL, such as C.ar; convert it"
        )
    numbers = [element_of(kind.split(".")[0], index, notes) for kind in types]
    places = _places(rows, bonds)
    formal = _formal_charges(sections.get("UNITY_ATOM_ATTR", []), places)
    mol = _bonded(types, bonds, places, formal)
    cations = sum(atom.GetFormalCharge() for atom in mol.GetAtoms())
    try:
        claims = _charge(header, rows, types, formal)
        if cations and not claims and sum(numbers) % 2:
            raise _uncharged(["N, P or S with a bond too many"])
    except InputError:
        check_hydrogens(mol, cations)  # without them the charges add up to nothing
        raise
    check_hydrogens(mol, max(0, cations - sum(claim.value for claim in claims)))
    if "CRYSIN" in sections:
        notes.add(index, "the cell (CRYSIN) is left out")
    structure = FileStructure(numbers, positions, claims, name=header[0].strip(" *\t"))
    note_odd_electrons(structure, index, notes)
    return structure


def _places(rows: Sequence[Sequence[str]], bonds: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return the index of each atom by its number; by its place where bonds go by that."""
    places = {row[0]: k for k, row in enumerate(rows)}
    if len(places) < len(rows) or not all(end in places for row in bonds for end in row[1:3]):
        return {str(k + 1): k for k in range(len(rows))}
    return places


def _formal_charges(lines: Sequence[str], places: Mapping[str, int]) -> dict[int, int]:
    """Return the formal charges by atom: a line with its number, then one for each attribute."""
    found, atom = {}, ""
    for words in (line.split() for line in lines if line.strip()):
        if words[0].isdecimal():
            atom = words[0]
        elif words[0] == "charge":
            if atom not in places or not re.fullmatch(r"[-+]?\d", words[-1], re.ASCII):
                raise InputError(f"{' '.join(words)[:40]!r} is no whole charge of an atom")
            found[places[atom]] = int(words[-1])
    return found


def _charge(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    types: Sequence[str],
    formal: Mapping[int, int],
) -> list[Claim]:
    """Return what the partial charges add up to, or the formal ones where there are none."""
    without = "NO_CHARGES" in (line.strip() for line in header) or any(len(row) < 9 for row in rows)
    if formal and (without or all(row[8].strip("+-0.") == "" for row in rows)):
        total = sum(formal.values())
        return [Claim("charge", total, f"formal charges that sum to {total}")]
    if without:
        if found := ION_TYPES & set(types):
            raise _uncharged(found)
        return []
    try:
        charges = np.array([float(row[8]) for row in rows])
    except ValueError:
        raise InputError("a partial charge is not a number") from None
    if not charges.any() and (found := ION_TYPES & set(types)):
        raise _uncharged(found)
    total = whole_sum(charges, "partial charges")
    return [Claim("charge", total, f"partial charges that sum to {total}")]


def _uncharged(kinds: Iterable[str]) -> InputError:
    found = ", ".join(sorted(kinds))
    return InputError(f"it has atoms of ions ({found}) and no partial charges; add them")


def _bonded(
    types: Sequence[str],
    bonds: Sequence[Sequence[str]],
    places: Mapping[str, int],
    formal: Mapping[int, int],
) -> "Mol":
    """Return an RDKit molecule with the bonds and formal charges.

    Where none are given, an atom of :data:`_CATIONS` has its charge.
    """
    from rdkit import Chem

    orders = {
        "1": Chem.BondType.SINGLE,
        "2": Chem.BondType.DOUBLE,
        "3": Chem.BondType.TRIPLE,
        "am": Chem.BondType.SINGLE,
        "ar": Chem.BondType.AROMATIC,
        "un": Chem.BondType.SINGLE,
        "du": Chem.BondType.SINGLE,
    }
    mol = Chem.RWMol()
    for kind in types:
        atom = Chem.Atom(element(kind.split(".")[0])[0])
        atom.SetNoImplicit(kind in ("O.co2", "C.cat"))
        mol.AddAtom(atom)
    pairs = set()
    for row in bonds:
        try:
            begin, end, order = places[row[1]], places[row[2]], row[3]
            pair = (min(begin, end), max(begin, end))
            if begin == end or pair in pairs:
                raise ValueError
            pairs.add(pair)
            if order != "nc":
                mol.AddBond(begin, end, orders[order])
        except (ValueError, IndexError, KeyError):
            raise InputError(f"{' '.join(row)[:40]!r} is not a new bond of two atoms") from None
    for atom in mol.GetAtoms():
        valences = [bond.GetBondTypeAsDouble() for bond in atom.GetBonds()]
        aromatic = 1.5 in valences
        atom.SetIsAromatic(aromatic)
        if formal:
            atom.SetFormalCharge(formal.get(atom.GetIdx(), 0))
        elif sum(valences) == _CATIONS.get(atom.GetAtomicNum()) and not aromatic:
            atom.SetFormalCharge(1)
    return mol.GetMol()
