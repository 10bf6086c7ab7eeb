"""Molecules that are kept out of the data, so that a model can be tested on them."""

from collections.abc import Collection, Sequence

from molrl.chemistry.bonds import validity
from molrl.chemistry.molecule_set import is_piece
from molrl.files import read_molecules
from molrl.fitting.data.labels import Progress
from molrl.runs.progress import log_message
from molrl.structures.structure import Structure, to_batch

_CHUNK = 64


def read_identities(path: str | None, progress: Progress) -> frozenset[str]:
    """Perceive the identities of the molecules in a file.

    Molecules of one or two heavy atoms are not among them: they are fragments of all others.
    Those whose coordinates fit no Lewis structure have no identity; a line says how many.

    Args:
        path: an ``.extxyz``, ``.xyz`` or ``.sdf`` file; None for no molecules.
        progress: called with how far it is.

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


def leave_out(
    structures: Sequence[Structure], identities: Collection[str], progress: Progress
) -> list[Structure]:
    """Return the structures that are none of the molecules, distorted ones included.

    A part of a molecule, or what is left of it without a hydrogen, may be another one.

    Args:
        structures: any.
        identities: from :func:`read_identities`.
        progress: called with how far it is.
    """
    if not identities:
        return list(structures)
    kept: list[Structure] = []
    for start in range(0, len(structures), _CHUNK):
        chunk = structures[start : start + _CHUNK]
        names = validity(to_batch(chunk)).smiles
        kept += [each for each, name in zip(chunk, names, strict=True) if name not in identities]
        progress("leaving out the held-out molecules", start + len(chunk), len(structures))
    return kept
