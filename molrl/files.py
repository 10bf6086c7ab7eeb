"""Molecule files: validated when read, written atomically."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.reading.charges import is_charge_or_spin
from molrl.reading.mol2 import read_mol2
from molrl.reading.notes import Notes
from molrl.reading.pdb import read_pdb
from molrl.reading.sdf import read_sdf
from molrl.reading.structures import FileStructure, batch_of
from molrl.reading.text import read_lines
from molrl.reading.xyz import read_xyz
from molrl.runs.atomic import check_writable, write_atomically

if TYPE_CHECKING:
    from rdkit.Chem import Mol

READERS: dict[str, Callable[[Sequence[str], Notes], list[FileStructure]]] = {
    ".extxyz": read_xyz,
    ".xyz": read_xyz,
    ".sdf": read_sdf,
    ".sd": read_sdf,
    ".mol": read_sdf,
    ".mol2": read_mol2,
    ".pdb": read_pdb,
}
CRYSTALS = frozenset({".cif", ".vasp", ".poscar", ".cell", ".xsf"})
COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})
# Coordinates that the ten columns of a V2000 table hold, four of them decimals.
V2000_RANGE = -9999.0, 99999.0
# Keys of extended XYZ that are no properties of a molecule; ASE takes only arrays as a stress.
RESERVED = frozenset({"lattice", "properties", "pbc", "stress"})


def read_molecules(path: Path | str, *, open_valences: bool = False) -> MoleculeBatch:
    """Read the molecules of an ``.extxyz``, ``.xyz``, ``.sdf``, ``.mol``, ``.mol2`` or ``.pdb``.

    All hydrogens must be in the file.

    Charge and multiplicity are read, too. In XYZ files they stand in the comment line, as
    ``charge=-1 spin=1`` or ``total_charge: -1``, ``mult``, ``uhf`` and the like, or as two whole
    numbers and nothing else (``-1 1``) if the electrons allow them; also ASE's columns of initial
    charges and magnetic moments count, and of the charges of a calculation. In SDF they are the
    formal charges and radicals, or the properties ``molrl_charge`` and ``molrl_spin``; in mol2 the
    sum of the partial charges, or of the formal ones where there are none; in PDB the charges of
    the atoms. ``spin`` is the multiplicity 2S + 1.

    What is not read as it stands there is said on standard error, in one line per file: charges and
    multiplicities that are spelled otherwise than :func:`molrl.write` does, isotopes, labels and
    atomic numbers for elements, text after the last molecule.

    Args:
        path: the file; the case of its suffix is of no account.
        open_valences: whether radicals in an SDF are places for further bonds, as in a fragment to
            build on, and state no multiplicity.

    Returns:
        At least one molecule.

    Raises:
        InputError: if the file does not exist, has another suffix, or is corrupted or empty; if it
            holds dummy atoms, molecules without all their hydrogens, drawings, impossible charges,
            or coordinates that are not finite numbers.

    Example:
        >>> read_molecules("molecules.extxyz").n_atoms  # doctest: +SKIP
        tensor([6, 6, 6])
    """
    batch, _ = read_named(path, open_valences=open_valences)
    try:
        return batch.check()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_named(path: Path | str, *, open_valences: bool = False) -> tuple[MoleculeBatch, list[str]]:
    """Read the molecules of a file, some of which may be such as no model can evaluate.

    Args:
        path: as for :func:`read_molecules`.
        open_valences: the same.

    Returns:
        At least one molecule, and the name of each, empty where it has none. Coordinates may be
        NaN, and atoms in one place; what uses them calls
        :meth:`molrl.molecules.MoleculeBatch.check`.

    Raises:
        InputError: as for :func:`read_molecules`, except for these.
    """
    if not isinstance(path, str | Path):
        raise InputError(f"a file is named by a string or a Path, not {path!r}")
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READERS or os.path.isdir(path):  # Path.is_dir raises where a name is too long
        raise _not_read(path)
    lines = read_lines(path)
    notes = Notes()
    try:
        structures = READERS[suffix](lines, notes)
        if open_valences:
            structures = [_without_radicals(structure) for structure in structures]
        batch = batch_of(structures, notes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not len(batch):
        raise InputError(f"{path} holds no molecule")
    notes.log(path)
    return batch, [structure.name for structure in structures]


def _not_read(path: Path) -> InputError:
    """Return why a path of an unknown suffix, or of a folder, is not read."""
    suffix = path.suffix.lower()
    if os.path.isdir(path):
        return InputError(f"{path} is a folder; name a file in it")
    if suffix in CRYSTALS or path.name in ("POSCAR", "CONTCAR"):
        return InputError(
            f"{path}: crystals are read from an .extxyz with a Lattice only; convert it"
        )
    if suffix in COMPRESSED:
        return InputError(f"{path} is compressed; decompress it")
    return InputError(
        f"{path} has an unknown suffix; give an .extxyz, .xyz or .sdf file, or one of "
        + ", ".join(sorted(READERS.keys() - {".extxyz", ".xyz", ".sdf"}))
    )


def _without_radicals(structure: FileStructure) -> FileStructure:
    return replace(structure, claims=[each for each in structure.claims if not each.of_radicals])


def write_extxyz(
    path: Path | str,
    molecules: MoleculeBatch,
    properties: Mapping[str, Sequence[float | str | bool | None] | np.ndarray] | None = None,
) -> None:
    """Write an extended XYZ file, one frame per molecule.

    Charges other than 0 and multiplicities other than the lowest are written as ``charge`` and
    ``spin``.

    Args:
        path: the file to write.
        molecules: the molecules; the format does not allow molecules without atoms.
        properties: one value per molecule by name, written to the comment line of each frame; of
            None nothing is written.

    Raises:
        InputError: if the file cannot be written there, a property has not one value per molecule
            or one that the format cannot hold, or its name means something else in the format:
            charge and multiplicity are those of the molecules.

    Example:
        >>> write_extxyz("made.extxyz", molecules, {"smiles": ["CO", "O"]})  # doctest: +SKIP
    """
    from ase.io import write

    path = check_writable(path)
    images: list[Atoms] = molecules.to_ase()
    for name, values in (properties or {}).items():
        _check_property(name, len(values), len(images))
        for image, value in zip(images, values, strict=True):
            if value is not None:
                image.info[name] = _as_written(value)
    write_atomically(path, lambda temporary: write(temporary, images, format="extxyz"))


def _check_property(name: str, n_values: int, n_molecules: int) -> None:
    """Refuse a property whose name would be read as something else, or of another length."""
    if is_charge_or_spin(name):
        raise InputError(
            f"a property cannot be named {name!r}, which is the molecule's own; set it by "
            "batch.with_states(charge, spin), or name the property otherwise"
        )
    if name.lower() in RESERVED or not name or "=" in name:
        raise InputError(f"extended XYZ takes no property of the name {name!r}; name it otherwise")
    if n_values != n_molecules:
        raise InputError(
            f"the property {name} has {n_values} values, not one for each of {n_molecules} "
            "molecules"
        )


def _as_written(value: object) -> object:
    """Return what ASE is to write for a value to read the same: "F" would be read as False.

    Raises:
        InputError: if it is a text that the format cannot hold.
    """
    from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict

    value = value.item() if isinstance(value, np.generic) else value
    if not isinstance(value, str):
        return value
    # ASE writes backslashes as they are, but reads two as one.
    plain = [value, f"_JSON {json.dumps(value)}"]
    for text in (*plain, *(one.replace("\\", "\\\\") for one in plain)):
        with suppress(ValueError):
            again = key_val_str_to_dict(key_val_dict_to_str({"key": text})).get("key")
            if isinstance(again, str) and again == value:
                return text
    raise InputError(f"extended XYZ cannot hold the text {value[:40]!r}")


def write_sdf(path: Path | str, mols: "Iterable[Mol]") -> None:
    """Write RDKit molecules to an SDF file, with their bonds, formal charges and properties.

    Args:
        path: the file to write.
        mols: RDKit molecules with a conformer, such as those of
            :func:`molrl.chemistry.bonds.bonded_mols`.

    Raises:
        InputError: if the file cannot be written there.
    """
    from rdkit import Chem

    path = check_writable(path)

    def write(temporary: Path) -> None:
        with Chem.SDWriter(str(temporary)) as writer:
            writer.SetKekulize(False)
            for mol in mols:
                writer.SetForceV3000(not _fits_v2000(mol))
                writer.write(mol)

    write_atomically(path, write)


def _fits_v2000(mol: "Mol") -> bool:
    low, high = V2000_RANGE
    positions = mol.GetConformer().GetPositions()
    return bool(((positions > low) & (positions < high)).all())
