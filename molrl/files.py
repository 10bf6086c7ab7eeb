"""Molecule files, extended XYZ and SDF: validated when read, written atomically."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_atomically

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MAX_ATOMS_PER_MOLECULE = 10_000
MAX_COLUMNS = 100  # of one property of an extended XYZ file
MAX_BYTES = 500_000_000
# Properties of an SDF entry whose charge or multiplicity its formal charges do not express.
CHARGE_FIELD, SPIN_FIELD = "molrl_charge", "molrl_spin"


def read_molecules(path: Path | str) -> MoleculeBatch:
    """Read the molecules of an ``.extxyz``, ``.xyz`` or ``.sdf`` file.

    Charge and multiplicity are read too: in extended XYZ ``charge=1`` and ``spin=3`` in the comment
    line, in SDF the formal charges, or the properties ``molrl_charge`` and ``molrl_spin`` where
    :func:`molrl.chemistry.bonds.bonded_mols` set them.

    Args:
        path: the file.

    Returns:
        At least one molecule.

    Raises:
        InputError: if the file does not exist, has another suffix, or is corrupted or empty, or a
            coordinate in it is not a finite number.

    Example:
        >>> read_molecules("molecules.extxyz").n_atoms  # doctest: +SKIP
        tensor([6, 6, 6])
    """
    batch = read_unchecked(path)
    try:
        return batch.check()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_unchecked(path: Path | str) -> MoleculeBatch:
    """Read the molecules of a file, some of which may be such as no model can evaluate.

    Args:
        path: as for :func:`read_molecules`.

    Returns:
        At least one molecule. Coordinates may be NaN, and atoms in one place; what uses them calls
        :meth:`molrl.molecules.MoleculeBatch.check`.

    Raises:
        InputError: if the file does not exist, has another suffix, or is corrupted or empty.
    """
    path = Path(path)
    readers = {".extxyz": _read_xyz, ".xyz": _read_xyz, ".sdf": _read_sdf}
    if path.suffix not in readers:
        raise InputError(f"{path} has an unknown suffix; give an .extxyz, .xyz or .sdf file")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES} bytes, the limit; split it")
    batch = readers[path.suffix](path)
    if not len(batch):
        raise InputError(f"{path} holds no molecule")
    return batch


def _read_xyz(path: Path) -> MoleculeBatch:
    from ase.io import read

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file") from None
    _check_xyz_counts(path, text)
    try:
        images = read(io.StringIO(text), index=":", format="extxyz")
    except Exception as error:  # ASE raises whatever its parser stumbles over
        unknown = _unknown_symbol(text)
        raise InputError(
            f"{path} {unknown}" if unknown else f"{path} is corrupted: {error}"
        ) from None
    try:
        return MoleculeBatch.from_ase(images)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_xyz_counts(path: Path, text: str) -> None:
    """Refuse counts that the file cannot hold, before a parser allocates memory for them."""
    lines = text.split("\n")
    i = 0
    while i < len(lines) and lines[i].strip():
        count = lines[i].strip()
        if not count.isascii() or not count.isdigit():
            raise InputError(f"{path} line {i + 1}: {count[:40]!r} is not a number of atoms")
        if not 0 < int(count[:9]) <= MAX_ATOMS_PER_MOLECULE or len(count) > 9:
            raise InputError(
                f"{path} line {i + 1}: {count[:40]} atoms; the limit is {MAX_ATOMS_PER_MOLECULE}"
            )
        header = lines[i + 1] if i + 1 < len(lines) else ""
        for columns in re.findall(r":[A-Za-z]:\s*(\d+)", header):
            if len(columns) > 9 or int(columns) > MAX_COLUMNS:
                raise InputError(f"{path} line {i + 2}: a property of {columns[:40]} columns")
        i += 2 + int(count)
        if i > len(lines):
            raise InputError(f"{path} ends within a molecule of {count} atoms")
    if any(line.strip() for line in lines[i:]):
        raise InputError(f"{path} line {i + 1} is empty, but molecules follow; remove it")


def _unknown_symbol(text: str) -> str:
    """Return the first line whose first word is no element symbol, as an error says it, or ""."""
    lines = text.split("\n")
    i = 0
    while i < len(lines) and lines[i].strip():
        header, end = lines[i + 1], i + 2 + int(lines[i])
        if "Properties=" not in header or "Properties=species:S:1" in header:
            for number, line in enumerate(lines[i + 2 : end], start=i + 3):
                word = next(iter(line.split()), "")
                if word.capitalize() not in chemical_symbols:
                    return f"line {number}: {word[:40]!r} is not an element symbol such as C or Cl"
        i = end
    return ""


def _read_sdf(path: Path) -> MoleculeBatch:
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    block = BlockLogs()
    try:
        mols = list(Chem.SDMolSupplier(str(path), removeHs=False, sanitize=False))
    finally:
        del block
    for i, mol in enumerate(mols):
        if mol is None or not mol.GetNumAtoms():
            raise InputError(f"{path}: molecule {i} is corrupted or empty")
    images = MoleculeBatch.from_rdkit(mols).to_ase()
    for image, mol in zip(images, mols, strict=True):
        for name, field in (("charge", CHARGE_FIELD), ("spin", SPIN_FIELD)):
            if mol.HasProp(field):
                image.info[name] = _int_or_text(mol.GetProp(field))
    try:
        return MoleculeBatch.from_ase(images)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _int_or_text(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[-+]?\d{1,9}", text) else text


def write_extxyz(
    path: Path | str,
    molecules: MoleculeBatch,
    properties: Mapping[str, Sequence[float | str | bool] | np.ndarray] | None = None,
) -> None:
    """Write an extended XYZ file, one frame per molecule.

    Charges other than 0 and multiplicities other than the lowest are written as ``charge`` and
    ``spin``.

    Args:
        path: the file to write.
        molecules: the molecules; the format does not allow molecules without atoms.
        properties: one value per molecule by name, written to the comment line of each frame.

    Example:
        >>> write_extxyz("made.extxyz", molecules, {"smiles": ["CO", "O"]})  # doctest: +SKIP
    """
    from ase.io import write

    images: list[Atoms] = molecules.to_ase()
    for name, values in (properties or {}).items():
        for image, value in zip(images, values, strict=True):
            image.info[name] = value.item() if isinstance(value, np.generic) else value
    write_atomically(path, lambda temporary: write(temporary, images, format="extxyz"))


def write_sdf(path: Path | str, mols: "Iterable[Mol]") -> None:
    """Write RDKit molecules to an SDF file, with their bonds, formal charges and properties.

    Args:
        path: the file to write.
        mols: RDKit molecules with a conformer, such as those of
            :func:`molrl.chemistry.bonds.bonded_mols`.
    """
    from rdkit import Chem

    def write(temporary: Path) -> None:
        with Chem.SDWriter(str(temporary)) as writer:
            writer.SetKekulize(False)
            for mol in mols:
                writer.write(mol)

    write_atomically(path, write)
