"""Frames of labelled files: structures with all that a file says of them, and the keys of labels.

Programs and people write the same label under many keys, so keys are looked for, compared where
there are several, and refused where they contradict each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from molrl.errors import InputError, did_you_mean

SUFFIXES = (".extxyz", ".xyz", ".db", ".json")
_SAME = 1e-3  # eV/atom or eV/Å; labels that differ by no more are one label


@dataclass(frozen=True)
class Frame:
    """A structure of a file.

    Attributes:
        atoms: the atoms, without a calculator.
        values: all that the file says of them, by key: results of a calculator, ``info``, arrays.
    """

    atoms: Atoms
    values: dict[str, Any]


@dataclass(frozen=True)
class Label:
    """A label that a fit needs.

    Attributes:
        name: in messages.
        option: that names its key.
        ndim: of its values.
        keys: that it usually has, in small letters, the most usual first.
    """

    name: str
    option: str
    ndim: int
    keys: tuple[str, ...]


ENERGIES = Label(
    "energies",
    "energy_key",
    0,
    (
        *("energy", "ref_energy", "dft_energy", "total_energy", "totenergy", "potential_energy"),
        *("e", "free_energy"),
    ),
)
FORCES = Label(
    "forces",
    "forces_key",
    2,
    ("forces", "force", "ref_forces", "ref_force", "dft_forces", "dft_force"),
)


def read_frames(path: Path) -> list[Frame]:
    """Read all structures of an extended XYZ file or an ASE database.

    Raises:
        InputError: if there is no such file, it is of another kind or broken, or it holds nothing.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is not labelled data; give one of {', '.join(SUFFIXES)} or .npz")
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        frames = _read_database(path) if suffix in (".db", ".json") else _read_xyz(path)
    except Exception as error:  # ASE and SQLite raise many kinds on a broken file
        raise InputError(f"{path} cannot be read: {error or type(error).__name__}") from None
    if not frames:
        raise InputError(f"{path} holds no structure")
    return frames


def _read_xyz(path: Path) -> list[Frame]:
    from ase.io import read

    return [_frame(atoms, atoms.info) for atoms in read(path, index=":", format="extxyz")]


def _read_database(path: Path) -> list[Frame]:
    from ase.db import connect

    rows = connect(str(path), type=path.suffix.lower()[1:], use_lock_file=False).select()
    return [_frame(row.toatoms(), {**row.data, **row.key_value_pairs}) for row in rows]


def _frame(atoms: Atoms, info: dict[str, Any]) -> Frame:
    # Not get_forces(): it sets the forces on constrained atoms to zero.
    results = {} if atoms.calc is None else atoms.calc.results
    atoms.calc = None
    return Frame(atoms, {**info, **atoms.arrays, **results})


def choose_key(path: Path, frames: Sequence[Frame], label: Label, given: str | None) -> str:
    """Choose the key of a label.

    Args:
        path: of the file, for messages.
        frames: structures that must have the label.
        label: what is looked for.
        given: the key, if the user names it.

    Returns:
        A key that every frame has.

    Raises:
        InputError: if there is none, a frame lacks it, or other keys of the label differ from it.
    """
    keys = list(
        dict.fromkeys(
            key
            for frame in frames
            for key, value in frame.values.items()
            if np.ndim(value) == label.ndim and key != "positions"
        )
    )
    known = [key for key in keys if key.lower() in label.keys]
    known.sort(key=lambda key: label.keys.index(key.lower()))
    if given is not None:
        if given not in keys:
            hint = f"; {did_you_mean(given, keys)}" if keys else ""
            raise InputError(f"{path} has no {label.option} {given!r}{hint}")
        known = [given]
    if not known:
        hint = f"; {label.option} names their key, of {', '.join(keys)}" if keys else ""
        raise InputError(f"{path} holds no {label.name}, which a fit needs{hint}")
    complete = [key for key in known if all(key in frame.values for frame in frames)]
    chosen = (complete or known)[0]
    for i, frame in enumerate(frames):
        if chosen not in frame.values:
            raise InputError(f"{path}: structure {i} has no {label.name} under {chosen!r}")
    for other in known:
        if not all(_agree(frame, chosen, other) for frame in frames):
            raise InputError(
                f"{path} holds different {label.name} under {chosen!r} and {other!r}; choose with "
                f"{label.option}={other} or {label.option}={chosen}"
            )
    return chosen


def _agree(frame: Frame, one: str, other: str) -> bool:
    if one == other or other not in frame.values:
        return True
    try:
        a, b = (np.asarray(frame.values[key], dtype=float) for key in (one, other))
    except (TypeError, ValueError):
        return False
    size = len(frame.atoms) if a.ndim == 0 else 1
    return a.shape == b.shape and np.allclose(a, b, rtol=0, atol=_SAME * size, equal_nan=True)


def to_numbers(value: object, shape: tuple[int, ...], where: str) -> np.ndarray:
    """Return a label as finite numbers of a shape.

    Args:
        value: of the file.
        shape: that it must have.
        where: names the label in messages.

    Raises:
        InputError: if it is not.
    """
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where} must be numbers, not {str(value)[:40]!r}") from None
    if numbers.shape != shape:
        raise InputError(f"{where} must have the shape {shape}, not {numbers.shape}")
    if not np.isfinite(numbers).all():
        raise InputError(f"{where} must be finite numbers; leave the structure out")
    return numbers
