"""Molecules that are kept out of the data, so that a model can be judged on them."""

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import is_piece
from molrl.files import read_molecules
from molrl.fitting.data.labels import Progress
from molrl.runs.progress import log_message

_CHUNK = 64


def read_identities(path: str | None, progress: Progress) -> frozenset[str]:
    """The identities of the molecules in a file, as their coordinates tell them.

    Molecules of one or two heavy atoms are not among them: they are the pieces of all others.
    How many have coordinates that no Lewis structure fits, and so no identity, is told.

    Args:
        path: an ``.extxyz``, ``.xyz`` or ``.sdf`` file; None for no molecules.
        progress: told how far it is.

    Raises:
        InputError: if the file is missing or broken.
    """
    if path is None:
        return frozenset()
    molecules = read_molecules(path)
    found: list[str | None] = []
    for start in range(0, len(molecules), _CHUNK):
        found += validity(molecules[start : start + _CHUNK]).smiles
        progress("identifying the held-out molecules", len(found), len(molecules))
    unknown = found.count(None)
    if unknown:
        log_message(
            f"{unknown} of the {len(found)} molecules in {path} have no bonds that can be "
            "perceived; they keep nothing out"
        )
    return frozenset(name for name in found if name is not None and not is_piece(name))
