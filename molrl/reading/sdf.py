"""SDF and MDL mol files, V2000 and V3000: checked as text, then read with RDKit."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from molrl.errors import InputError
from molrl.reading.charges import Claim, Kind, claim_of_field
from molrl.reading.ctab import END, ORDERS, ConnectionTable, read_table
from molrl.reading.hydrogens import check_hydrogens
from molrl.reading.notes import Notes
from molrl.reading.structures import MAX_ATOMS, FileStructure, note_odd_electrons, of_molecule

if TYPE_CHECKING:
    from rdkit.Chem import Mol

# Properties of a record whose charge or multiplicity its atoms do not express.
CHARGE_FIELD, SPIN_FIELD = "molrl_charge", "molrl_spin"
SEPARATOR = "$$$$"
PLANAR_BONDS = 0.8, 1.25  # of the sum of the covalent radii, in a molecule that is no drawing


def read_sdf(lines: Sequence[str], notes: Notes) -> list[FileStructure]:
    """Read the records of an SDF or a mol file.

    Args:
        lines: of the file.
        notes: where it is noted what is read otherwise than it stands there.

    Returns:
        The structures, in order.

    Raises:
        InputError: if a record is corrupted, a drawing, or lacks hydrogens; the message names it by
            its index.
    """
    structures: list[FileStructure] = []
    for record in _records(lines):
        index = len(structures)
        if not any(line.strip() for line in record):
            notes.add(index, "an empty record before it is left out")
            continue
        try:
            structures.append(_structure(record, index, notes))
        except InputError as error:
            raise of_molecule(index, error) from None
    return structures


def _records(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    start = 0
    for i, line in enumerate(lines):
        if line.startswith(SEPARATOR):
            yield lines[start:i]
            start = i + 1
    if any(line.strip() for line in lines[start:]):
        yield lines[start:]


def _structure(record: Sequence[str], index: int, notes: Notes) -> FileStructure:
    table = read_table(record)
    if len(table.words) > MAX_ATOMS:
        raise InputError(f"it has more than {MAX_ATOMS} atoms, the limit")
    end = next((i for i, line in enumerate(record) if line.rstrip() == END), None)
    if end is None:
        raise InputError(f"it is corrupted: it has no line {END!r}")
    fields = _fields(record[end + 1 :])
    mol = _parse(record[: end + 1])
    _check_dimension(mol, table, record[1], index, notes)
    stated = _stated(fields)
    if CHARGE_FIELD not in fields and SPIN_FIELD not in fields:
        _check_hydrogens(mol, table, _explained(mol, stated))
    for remark in table.remarks:
        notes.add(index, remark)
    if any(atom.GetIsotope() for atom in mol.GetAtoms()) and not table.remarks:
        notes.add(index, "isotopes are read as their elements")
    structure = FileStructure(
        [atom.GetAtomicNum() for atom in mol.GetAtoms()],
        table.positions,
        _claims(mol, table, fields) if not stated else _agreed(mol, table, stated),
        name=record[0].strip(),
    )
    note_odd_electrons(structure, index, notes)
    return structure


def _fields(lines: Sequence[str]) -> dict[str, str]:
    """Return the one-line data items of a record.

    Raises:
        InputError: if another record begins before the separator.
    """
    fields: dict[str, str] = {}
    name = None
    for line in lines:
        if name is None and line.startswith(">"):
            match = re.search(r"<([^>]*)>", line)
            name = match[1] if match else ""
        elif name is not None and not line.strip():
            name = None
        elif name is not None:
            fields.setdefault(name, line.strip())
        elif line.rstrip() == END or re.search(r"\bV[23]000\s*$", line):
            raise InputError(
                f"another molecule follows within it; put a line {SEPARATOR!r} between them"
            )
    return fields


def _parse(block: Sequence[str]) -> "Mol":
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    silent = BlockLogs()
    try:
        mol = Chem.MolFromMolBlock("\n".join(block) + "\n", sanitize=False, removeHs=False)
    except Exception as error:  # RDKit raises many kinds on a corrupted record
        raise InputError(f"it is corrupted: {error or type(error).__name__}") from None
    finally:
        del silent
    if mol is None:
        raise InputError("it is corrupted: RDKit cannot read its connection table")
    return mol


def _check_dimension(
    mol: "Mol", table: ConnectionTable, program_line: str, index: int, notes: Notes
) -> None:
    """Refuse drawings; a flat record without the tag 3D is none if its bond lengths are right."""
    tag = program_line[20:22].upper()
    if not table.is_flat or tag == "3D" or len(table.words) == 1:
        return
    if tag == "2D" or not _has_bond_lengths(mol, table.positions):
        raise InputError(
            "it has 2D coordinates; embed it first, or write 3D in columns 21-22 of its second line"
            " if the molecule is planar"
        )
    notes.add(index, "z = 0 without the tag 3D is read as a planar molecule")


def _has_bond_lengths(mol: "Mol", positions: np.ndarray) -> bool:
    """Return whether a flat molecule has hydrogens, and bonds of the lengths they have in Å."""
    from ase.data import covalent_radii

    low, high = PLANAR_BONDS
    numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
    kinds, lengths = set(), []
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        lengths.append(float(np.linalg.norm(positions[i] - positions[j])))
        kinds.add(frozenset((numbers[i], numbers[j])))
        if not low < lengths[-1] / (covalent_radii[numbers[i]] + covalent_radii[numbers[j]]) < high:
            return False
    drawn = len(kinds) > 1 and max(lengths) - min(lengths) < 0.01 * max(lengths)
    crowded = any(atom.GetDegree() > 3 for atom in mol.GetAtoms())
    return bool(lengths) and 1 in numbers and not drawn and not crowded


def _check_hydrogens(mol: "Mol", table: ConnectionTable, explained: set[int]) -> None:
    """Refuse a molecule that lacks hydrogens, or seems to because of the orders of its bonds."""
    try:
        check_hydrogens(mol, *explained)
    except InputError:
        if not table.odd_orders:
            raise
        number, order = next(iter(table.odd_orders.items()))
        raise InputError(
            f"bond {number} has the order {order}, of which no hydrogens follow; write {ORDERS}"
        ) from None


def _stated(fields: dict[str, str]) -> dict[Kind, Claim]:
    """Return what data fields of other programs state, where there are none of molrl's.

    Raises:
        InputError: if two of them contradict each other.
    """
    if CHARGE_FIELD in fields or SPIN_FIELD in fields:
        return {}
    stated: dict[Kind, Claim] = {}
    for claim in filter(None, (claim_of_field(*item) for item in fields.items())):
        _check_agree(stated.setdefault(claim.kind, claim), claim)
    return stated


def _explained(mol: "Mol", stated: dict[Kind, Claim]) -> set[int]:
    """Return how many hydrogens may be missing for what fields state beyond the formal charges."""
    from rdkit.Chem import GetFormalCharge

    formal = GetFormalCharge(mol)
    charge = abs(stated["charge"].value - formal) if "charge" in stated else 0
    unpaired = stated["spin"].value - 1 if "spin" in stated else 0
    return {charge, unpaired, charge + unpaired}


def _agreed(mol: "Mol", table: ConnectionTable, stated: dict[Kind, Claim]) -> list[Claim]:
    """Return the claims of fields, and of what they do not state those of the atoms.

    Raises:
        InputError: if formal charges or radicals contradict a field.
    """
    from rdkit.Chem import GetFormalCharge

    of_atoms: dict[Kind, Claim] = {}
    if any(atom.GetFormalCharge() for atom in mol.GetAtoms()):
        total = GetFormalCharge(mol)
        of_atoms["charge"] = Claim("charge", total, f"formal charges that sum to {total}")
    if table.radicals:
        of_atoms["spin"] = _of_radicals(table)
    for kind, claim in stated.items():
        if kind == "charge" or len(table.radicals) < 2:  # several can be coupled in many ways
            _check_agree(of_atoms.get(kind, claim), claim)
    return list((of_atoms | stated).values())


def _check_agree(first: Claim, second: Claim) -> None:
    if first.value != second.value:
        raise InputError(
            f"it has {first.source} and {second.source}, which contradict each other; keep one"
        )


def _of_radicals(table: ConnectionTable) -> Claim:
    """Return the multiplicity of the radicals; several are coupled to the highest."""
    unpaired = [{2: 1, 3: 2}.get(radical, 0) for radical in table.radicals]
    coupled = ", coupled to the highest spin" if np.count_nonzero(unpaired) > 1 else ""
    return Claim("spin", sum(unpaired) + 1, f"radicals{coupled}", of_radicals=True)


def _claims(mol: "Mol", table: ConnectionTable, fields: dict[str, str]) -> list[Claim]:
    """Return charge and multiplicity of a record; the fields stand above what its atoms have."""
    from rdkit.Chem import GetFormalCharge

    charge = GetFormalCharge(mol)
    found: dict[Kind, Claim] = {"charge": Claim("charge", charge, f"charge={charge}")}
    if table.radicals:
        found["spin"] = _of_radicals(table)
    named: dict[Kind, str] = {"charge": CHARGE_FIELD, "spin": SPIN_FIELD}
    for kind, field in named.items():
        if field in fields:
            if not re.fullmatch(r"[-+]?\d{1,6}", fields[field]):
                raise InputError(f"{field} must be a whole number, not {fields[field][:40]!r}")
            value = int(fields[field])
            found[kind] = Claim(kind, value, f"{kind}={value}")
    return list(found.values())
