"""Molecules in files: extended XYZ and SDF, read with care, written whole or not at all."""

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_atomically

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MAX_ATOMS_PER_MOLECULE = 10_000
MAX_COLUMNS = 100  # of one property of an extended XYZ file
MAX_BYTES = 500_000_000


def read_molecules(path: Path | str) -> MoleculeBatch:
    """Read the molecules of an ``.extxyz``, ``.xyz`` or ``.sdf`` file.

    Raises:
        InputError: if there is no such file, it is of another kind, it is broken or empty, or a
            coordinate in it is not a finite number.
    """
    path = Path(path)
    readers = {".extxyz": _read_xyz, ".xyz": _read_xyz, ".sdf": _read_sdf}
    if path.suffix not in readers:
        raise InputError(f"{path} is of no known kind; give an .extxyz, .xyz or .sdf file")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is larger than the {MAX_BYTES} bytes that are read; split it")
    batch = readers[path.suffix](path)
    if not len(batch):
        raise InputError(f"{path} holds no molecule")
    try:
        return batch.check()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read_xyz(path: Path) -> MoleculeBatch:
    from ase.io import read

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is no text file") from None
    _check_xyz_counts(path, text)
    try:
        images = read(io.StringIO(text), index=":", format="extxyz")
    except Exception as error:  # ASE raises whatever its parser stumbles over
        raise InputError(f"{path} is broken: {error}") from None
    try:
        return MoleculeBatch.from_ase(images)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_xyz_counts(path: Path, text: str) -> None:
    """Refuse counts that the file cannot hold, before a parser allocates for them."""
    lines = text.split("\n")
    i = 0
    while i < len(lines) and lines[i].strip():
        count = lines[i].strip()
        if not count.isascii() or not count.isdigit():
            raise InputError(f"{path} line {i + 1}: {count[:40]!r} is no number of atoms")
        if not 0 < int(count[:9]) <= MAX_ATOMS_PER_MOLECULE or len(count) > 9:
            raise InputError(f"{path} line {i + 1}: {count[:40]} atoms; 1 to 10000 can be read")
        header = lines[i + 1] if i + 1 < len(lines) else ""
        for columns in re.findall(r":[A-Za-z]:\s*(\d+)", header):
            if len(columns) > 9 or int(columns) > MAX_COLUMNS:
                raise InputError(f"{path} line {i + 2}: a property of {columns[:40]} columns")
        i += 2 + int(count)
        if i > len(lines):
            raise InputError(f"{path} ends within a molecule of {count} atoms")
    if any(line.strip() for line in lines[i:]):
        raise InputError(f"{path} line {i + 1} is empty, but molecules follow; leave it out")


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
            raise InputError(f"{path}: molecule {i} is broken or empty")
    return MoleculeBatch.from_rdkit(mols)


def write_extxyz(
    path: Path | str,
    molecules: MoleculeBatch,
    properties: Mapping[str, Sequence[float | str | bool] | np.ndarray] | None = None,
) -> None:
    """Write an extended XYZ file, one frame a molecule.

    Args:
        path: where to.
        molecules: what to write; empty canvases are not allowed in the format.
        properties: name to one value per molecule, written in each frame's comment line.
    """
    from ase.io import write

    images: list[Atoms] = molecules.to_ase()
    for name, values in (properties or {}).items():
        for image, value in zip(images, values, strict=True):
            image.info[name] = value.item() if isinstance(value, np.generic) else value
    write_atomically(path, lambda temporary: write(temporary, images, format="extxyz"))


def write_sdf(path: Path | str, mols: "Iterable[Mol]") -> None:
    """Write RDKit molecules to an SDF file."""
    from rdkit import Chem

    def write(temporary: Path) -> None:
        with Chem.SDWriter(str(temporary)) as writer:
            writer.SetKekulize(False)
            for mol in mols:
                writer.write(mol)

    write_atomically(path, write)
