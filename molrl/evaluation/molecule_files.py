"""Molecule files with properties: extended XYZ and SDF for viewers, CSV for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from molrl.chemistry.bonds import bonded_mols, validity
from molrl.errors import InputError
from molrl.files import write_extxyz, write_sdf
from molrl.molecules import MoleculeBatch
from molrl.reading.sdf import SEPARATOR
from molrl.runs.atomic import write_text

SUFFIXES = (".extxyz", ".sdf")
Properties = Mapping[str, Sequence[float | str | bool] | np.ndarray]
# Units in the names of properties, where the format has no place for them. Extended XYZ keeps the
# bare names, because ASE reads `energy` as the result of a calculator.
_UNITS = {
    "energy": "eV",
    "start_energy": "eV",
    "reference_energy": "eV",
    "error": "eV",
    "strain": "eV",
    "rmsd": "angstrom",
    "symmetric_rmsd": "angstrom",
    "above_best": "eV",
    "max_force": "eV_per_angstrom",
    "mean_force_error": "eV_per_angstrom",
}


def check_format(path: Path, molecules: MoleculeBatch) -> None:
    """Check that the format of a file can hold molecules.

    Raises:
        InputError: if one is periodic and the file an SDF.
    """
    if path.suffix.lower() == ".sdf" and molecules.is_periodic:
        raise InputError(f"{path}: an SDF holds no periodic structures; write an .extxyz")


def label(indices: Sequence[int], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the labels of molecules of a file: their indices, and names, or ``-``, if any has one.

    Args:
        indices: of the molecules in the file.
        names: of all molecules of the file.
    """
    named = {"name": np.array([names[i] or "-" for i in indices])} if any(names) else {}
    return {"index": np.array(indices), **named}


def write_annotated(path: Path, molecules: MoleculeBatch, properties: Properties) -> None:
    """Write molecules with properties to an ``.extxyz`` or ``.sdf`` file.

    The SDF has the perceived bonds, the property ``name`` as its titles, and units in the names of
    the others: ``energy_eV``, ``strain_eV``, ``rmsd_angstrom``. Extended XYZ has them as given.

    Args:
        path: the file to write.
        molecules: n molecules.
        properties: n values by name; energies in eV, lengths in Å.
    """
    if path.suffix.lower() != ".sdf":
        write_extxyz(path, molecules, properties)
        return
    mols = bonded_mols(molecules, validity(molecules))
    for i, mol in enumerate(mols):
        for name, values in properties.items():
            if name == "name":
                mol.SetProp("_Name", "" if values[i] == "-" else _sdf_line(values[i]))
            else:
                mol.SetProp(with_unit(name), _sdf_line(values[i]))
    write_sdf(path, mols)


def _sdf_line(value: object) -> str:
    """Return a text that does not end the record, as a line that begins with ``$$$$`` does."""
    text = str(value)
    return f" {text}" if text.startswith(SEPARATOR) else text


def write_csv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Iterable[str] = ()
) -> None:
    """Write rows as CSV, with units in the headings.

    Args:
        path: the file to write.
        rows: one mapping per line; the keys of the first are the headings. What is missing in a
            row, None and NaN are empty cells.
        columns: the keys where there are no rows, so that programs can read such a file, too.
    """
    text = io.StringIO()
    keys = list(rows[0] if rows else columns)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([with_unit(key) for key in keys])
    writer.writerows([_cell(row.get(key)) for key in keys] for row in rows)
    write_text(path, text.getvalue())


def formulas(molecules: MoleculeBatch) -> list[str]:
    """Return the formula of each molecule in Hill order."""
    return [image.get_chemical_formula("hill") for image in molecules.to_ase()]


def with_unit(name: str) -> str:
    """Return the name of a property with its unit: ``energy_eV`` for ``energy``."""
    return f"{name}_{_UNITS[name]}" if name in _UNITS else name


def _cell(value: object) -> object:
    return "" if value is None or value != value else value  # NaN differs from itself
