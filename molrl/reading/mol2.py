"""Tripos mol2 files, with all hydrogens."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from molrl.errors import InputError
from molrl.reading.charges import Claim, whole_sum
from molrl.reading.elements import element
from molrl.reading.hydrogens import check_hydrogens
from molrl.reading.notes import Notes
from molrl.reading.structures import (
    MAX_ATOMS,
    Structure,
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


def read_mol2(lines: Sequence[str], notes: Notes) -> list[Structure]:
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
        elif not line.startswith("#"):
            current.append(line)
    if "MOLECULE" in sections:
        yield sections


def _structure(sections: dict[str, list[str]], index: int, notes: Notes) -> Structure:
    header = sections["MOLECULE"]
    rows = [line.split() for line in sections.get("ATOM", []) if line.strip()]
    count = (header[1].split() or [""])[0] if len(header) > 1 else ""
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
    mol = _bonded(types, [line.split() for line in sections.get("BOND", []) if line.strip()])
    cations = sum(atom.GetFormalCharge() for atom in mol.GetAtoms())
    try:
        claims = _charge(header, rows, types)
        if cations and not claims and sum(numbers) % 2:
            raise _uncharged(["N, P or S with a bond too many"])
    except InputError:
        check_hydrogens(mol, cations)  # without them the charges add up to nothing
        raise
    check_hydrogens(mol, max(0, cations - sum(claim.value for claim in claims)))
    structure = Structure(numbers, positions, claims, name=header[0].strip(" *\t"))
    note_odd_electrons(structure, index, notes)
    return structure


def _charge(
    header: Sequence[str], rows: Sequence[Sequence[str]], types: Sequence[str]
) -> list[Claim]:
    """Return what the partial charges add up to."""
    if "NO_CHARGES" in (line.strip() for line in header) or any(len(row) < 9 for row in rows):
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


def _bonded(types: Sequence[str], bonds: Sequence[Sequence[str]]) -> "Mol":
    """Return an RDKit molecule with the bonds; an atom of :data:`_CATIONS` has its charge."""
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
            begin, end, order = int(row[1]) - 1, int(row[2]) - 1, row[3]
            pair = (min(begin, end), max(begin, end))
            if not 0 <= pair[0] < pair[1] < len(types) or pair in pairs:
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
        if sum(valences) == _CATIONS.get(atom.GetAtomicNum()) and not aromatic:
            atom.SetFormalCharge(1)
    return mol.GetMol()
