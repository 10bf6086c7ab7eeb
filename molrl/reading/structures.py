"""Structures as they are read from a file, and the batch that they make."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.reading.charges import Claim, check_states, settle
from molrl.reading.elements import element
from molrl.reading.notes import Notes

MAX_ATOMS = 10_000  # of a molecule


@dataclass(frozen=True)
class FileStructure:
    """A molecule or crystal of a file.

    Attributes:
        numbers: ``(n,)`` atomic numbers.
        positions: ``(n, 3)`` Å.
        claims: what the file states of charge and multiplicity.
        guesses: a charge and a multiplicity that may be something else, or nothing; they count
            where the electrons allow them and there are no claims.
        cell: ``(3, 3)`` Å, rows are cell vectors; 0 for molecules.
        pbc: ``(3,)`` whether it is periodic along each cell vector.
        name: its title; empty without one.
    """

    numbers: Sequence[int]
    positions: np.ndarray
    claims: Sequence[Claim] = ()
    guesses: Sequence[Claim] = ()
    cell: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)))
    pbc: Sequence[bool] = (False, False, False)
    name: str = ""


def batch_of(structures: Sequence[FileStructure], notes: Notes) -> MoleculeBatch:
    """Return the batch of the structures of a file.

    Args:
        structures: the structures.
        notes: where it is noted what charges and multiplicities are taken over.

    Raises:
        InputError: if statements of charge or multiplicity contradict each other, or no molecule
            with that many electrons exists.
    """
    batch = MoleculeBatch.from_arrays((np.asarray(s.numbers), s.positions) for s in structures)
    if any(s.cell.any() or any(s.pbc) for s in structures):
        cells, pbc = np.array([s.cell for s in structures]), np.array([s.pbc for s in structures])
        batch = batch.in_cells(cells, pbc)
    if not any(s.claims or s.guesses for s in structures):
        return batch
    states = [_state(structure, i, notes) for i, structure in enumerate(structures)]
    charged = batch.with_states([charge or 0 for charge, _ in states], [spin for _, spin in states])
    _note_states(structures, charged, notes)
    return charged


def element_of(word: str, molecule: int, notes: Notes) -> int:
    """Return the atomic number that a word of a file stands for, and note what is to be said.

    Args:
        word: as for :func:`molrl.reading.elements.element`.
        molecule: index of the molecule.
        notes: of the file.

    Raises:
        InputError: if it is no element.
    """
    number, remark = element(word)
    if remark:
        notes.add(molecule, remark)
    return number


def note_odd_electrons(structure: FileStructure, molecule: int, notes: Notes) -> None:
    """Note an odd number of electrons where no multiplicity is stated: a charge may be missing.

    Args:
        structure: from a file that ought to hold the charges.
        molecule: its index.
        notes: of the file.
    """
    charge = sum(claim.value for claim in structure.claims if claim.kind == "charge")
    stated = any(claim.kind == "spin" for claim in structure.claims)
    if not stated and (sum(structure.numbers) - charge) % 2:
        notes.add(molecule, "an odd number of electrons is read; is a charge missing?")


def of_molecule(index: int, error: InputError) -> InputError:
    """Return an error that names the molecule of a file, from one that says what it has.

    Args:
        index: of the molecule.
        error: such as "it lacks a hydrogen" or "line 3: ...".
    """
    return InputError(f"molecule {index}: {error}".replace(": it ", " ", 1))


def _state(structure: FileStructure, i: int, notes: Notes) -> tuple[int | None, int | None]:
    """Return charge and multiplicity of the structure of an index."""
    claims = list(structure.claims)
    if structure.guesses and not claims:
        protons = np.array([sum(structure.numbers)])
        guess = [np.array([claim.value]) for claim in structure.guesses]
        try:
            check_states(protons, *guess)
        except InputError:
            source = structure.guesses[0].source
            notes.add(i, f"{source} is no charge and multiplicity of its electrons", "bare")
        else:
            claims = list(structure.guesses)
    try:
        return settle(claims)
    except InputError as error:
        raise of_molecule(i, error) from None


def _note_states(structures: Sequence[FileStructure], batch: MoleculeBatch, notes: Notes) -> None:
    """Note charges and multiplicities that are not the default and had to be made out."""
    lowest = batch.charged(torch.zeros_like(batch.charge)).spin
    changed = (batch.charge != 0) | (batch.spin != lowest)
    for i in changed.nonzero()[:, 0].tolist():
        claims = structures[i].claims or structures[i].guesses
        sources = dict.fromkeys(claim.source[:40] for claim in claims if not claim.is_plain)
        if sources:
            state = f"charge {int(batch.charge[i])} and multiplicity {int(batch.spin[i])}"
            notes.add(i, f"{state} from {' and '.join(sources)}", "state")
