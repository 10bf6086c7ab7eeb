"""Molecule files of either format, with the bonds where the format has them."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ase import Atoms
from ase.data import chemical_symbols

from molrl.chemistry.bonds import bonded_mols, validity
from molrl.errors import InputError
from molrl.files import write_extxyz, write_sdf
from molrl.molecules import MAX_COORDINATE, MoleculeBatch


def write(path: Path | str, molecules: MoleculeBatch | Atoms | Iterable[Atoms]) -> None:
    """Write molecules to an ``.extxyz``, ``.xyz`` or ``.sdf`` file.

    Charge and multiplicity are kept, in the form that :func:`molrl.read` reads. In SDF the
    molecules have the bonds that are perceived from their coordinates.

    Args:
        path: the file to write, which is replaced if it exists.
        molecules: a batch or ASE atoms, at least one molecule, each with an atom.

    Raises:
        InputError: if the first argument is no path, the file has another suffix, there are no
            molecules, one has no atoms, dummy atoms, coordinates that are not finite or an
            impossible charge or multiplicity, a structure is periodic and the file an SDF, or the
            file cannot be written there.

    Example:
        >>> molrl.write("made.sdf", molrl.read("made.extxyz"))  # doctest: +SKIP
    """
    if not isinstance(path, str | Path):
        raise InputError(f"molrl.write: give the path first, not {type(path).__name__}")
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise InputError(f"{path} has an unknown suffix; give an .extxyz, .xyz or .sdf file")
    if not isinstance(molecules, MoleculeBatch):
        molecules = MoleculeBatch.from_ase(molecules)
    _check_readable(molecules)
    WRITERS[suffix](Path(path), molecules)


def _check_readable(molecules: MoleculeBatch) -> None:
    """Refuse what :func:`molrl.read` would refuse in the file, but for atoms in one place."""
    if not len(molecules):
        raise InputError("there are no molecules to write; give at least one")
    empty = (molecules.n_atoms == 0).nonzero()
    if len(empty):
        raise InputError(f"molecule {int(empty[0])} has no atoms, which no file can hold")
    foreign = (molecules.numbers < 1) | (molecules.numbers >= len(chemical_symbols))
    if foreign.any():
        number, where = int(molecules.numbers[foreign][0]), int(molecules.molecule[foreign][0])
        raise InputError(f"molecule {where} has an atom of number {number}, which is no element")
    molecules.check_electrons().check_coordinates(MAX_COORDINATE)


def _write_sdf(path: Path, molecules: MoleculeBatch) -> None:
    write_sdf(path, bonded_mols(molecules, validity(molecules)))


WRITERS: dict[str, Callable[[Path, MoleculeBatch], None]] = {
    ".extxyz": write_extxyz,
    ".xyz": write_extxyz,
    ".sdf": _write_sdf,
}
