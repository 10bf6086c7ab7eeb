"""Known molecules, which new ones are compared with."""

from pathlib import Path

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import MoleculeSet
from molrl.files import read_molecules
from molrl.runs.progress import log_message, progress

_CHUNK = 64


def read_known(path: Path | str) -> frozenset[str]:
    """Read the identities of the molecules in a file.

    Molecules whose coordinates fit no Lewis structure have none; a line says how many.

    Args:
        path: ``.extxyz``, ``.xyz`` or ``.sdf``; or a molecule set, ``.npz``, of
            ``molrl energy molecules``.

    Returns:
        Canonical SMILES without stereochemistry.

    Raises:
        InputError: if the file is missing or broken.

    Example:
        >>> read_known("train.extxyz")  # doctest: +SKIP
        frozenset({'CO', 'CCO'})
    """
    path = Path(path)
    if path.suffix == ".npz":
        return frozenset(MoleculeSet.load(path).identities)
    molecules = read_molecules(path)
    found: list[str | None] = []
    with progress(len(molecules), f"identified in {path.name}") as bar:
        for start in range(0, len(molecules), _CHUNK):
            found += validity(molecules[start : start + _CHUNK]).smiles
            bar.update(len(found))
    if None in found:
        log_message(f"{found.count(None)} of the {len(found)} molecules in {path} have no identity")
    return frozenset(name for name in found if name is not None)
