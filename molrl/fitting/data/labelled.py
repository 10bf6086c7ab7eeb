"""Labelled structures of other programs: extended XYZ files and ASE databases as datasets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms

from molrl.bags import Bag
from molrl.chemistry.identity import canonical_smiles, parse
from molrl.errors import InputError, did_you_mean
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.frames import (
    ENERGIES,
    FORCES,
    Frame,
    choose_key,
    read_frames,
    to_numbers,
)
from molrl.fitting.data.units import check_units
from molrl.molecules import MoleculeBatch
from molrl.reading.charges import Claim, claims_of_info

_MAX_KINDS = 20  # errors are reported of each kind, so a name for every structure is not a kind
_SPLITS = {"train": 0, "training": 0, "valid": 1, "val": 1, "validation": 1, "test": 2}


def read_labelled(
    path: Path | str, energy_key: str | None = None, forces_key: str | None = None
) -> tuple[Dataset, bool]:
    """Read an ``.extxyz`` or ``.xyz`` file or an ASE database (``.db``, ``.json``).

    Energies and forces are eV and eV/Å, under the usual keys or those that are given. Charge, spin
    (multiplicity), ``config_type`` as the kind and ``split`` are kept where the file has them; else
    the kind is the name of the file. The identity is ``smiles``, canonical and without
    stereochemistry, if every structure has one that can be read; else it is the formula.
    Neutral isolated atoms become the dataset's ``atomic_energies``; structures of one atom are
    not among the others, as a network has no error on them.

    Args:
        path: the file.
        energy_key: key of the energies; of the calculator, ``info`` or the database's row.
        forces_key: key of the forces, likewise, or of ``arrays``.

    Returns:
        The structures, and whether the file says their split; if not, all are of the train split.

    Raises:
        InputError: if the file is missing, broken or periodic, has no energies or forces or
            several that differ, or they are not in eV and eV/Å.

    Example:
        >>> data, has_split = read_labelled("mine.extxyz")  # doctest: +SKIP
    """
    path = Path(path)
    frames = read_frames(path)
    for i, frame in enumerate(frames):
        if frame.atoms.pbc.any():
            raise InputError(
                f"{path}: structure {i} is periodic, and labelled files are read for molecules "
                "only; for a molecule in a box set its pbc to False"
            )
    index = [i for i, frame in enumerate(frames) if len(frame.atoms) > 1]
    molecules = _molecules(path, frames)
    energies = _energies(path, frames, energy_key)
    several = torch.tensor([len(frame.atoms) > 1 for frame in frames])
    many = [frames[i] for i in index]
    kinds, kind = _numbered(_kinds(many, path.stem))
    identities, identity = _numbered(_identities(many))
    split = _splits(path, many)
    isolated = _isolated(molecules, energies)
    dataset = Dataset(
        molecules=molecules[several],
        energy=energies[several],
        forces=_forces(path, many, index, forces_key),
        kind=kind,
        kinds=kinds,
        split=torch.zeros(len(many), dtype=torch.int64) if split is None else split,
        identity=identity,
        identities=identities,
        atomic_energies=isolated,
        file_atoms=frozenset(isolated),
    )
    check_units(dataset, str(path))
    return dataset, split is not None


def _molecules(path: Path, frames: Sequence[Frame]) -> MoleculeBatch:
    """The structures with charge and spin, float32."""
    images: list[Atoms] = []
    for frame in frames:
        # arrays are charges of atoms
        info = {key: value for key, value in frame.values.items() if np.ndim(value) == 0}
        initial = float(frame.atoms.get_initial_charges().sum())
        stated = {claim.kind for claim in _claims(path, len(images), info)}
        if "charge" not in stated and abs(initial - round(initial)) < 0.01:  # ASE's own way
            info["charge"] = round(initial)
        images.append(Atoms(frame.atoms.numbers, frame.atoms.positions, info=info))
    try:
        return MoleculeBatch.from_ase(images).check().to(dtype=torch.float32)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _claims(path: Path, index: int, info: Mapping[str, object]) -> list[Claim]:
    """Return the charges and multiplicities that a structure states."""
    try:
        return claims_of_info(info)
    except InputError as error:
        raise InputError(f"{path}: molecule {index}: {error}") from None


def _energies(path: Path, frames: Sequence[Frame], given: str | None) -> torch.Tensor:
    key = choose_key(path, frames, ENERGIES, given)
    values = [
        to_numbers(frame.values[key], (), f"{path}: {key} of structure {i}")
        for i, frame in enumerate(frames)
    ]
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _forces(
    path: Path, frames: Sequence[Frame], index: Sequence[int], given: str | None
) -> torch.Tensor:
    """The forces; ``index`` has the places of the frames in the file, for messages."""
    if not frames:
        return torch.zeros(0, 3)
    key = choose_key(path, frames, FORCES, given)
    values = [
        to_numbers(frame.values[key], (len(frame.atoms), 3), f"{path}: {key} of structure {i}")
        for i, frame in zip(index, frames, strict=True)
    ]
    forces = torch.from_numpy(np.concatenate(values)).float()
    if not forces.any():
        raise InputError(f"{path}: all forces under {key!r} are 0; forces_key names another key")
    return forces


def _isolated(molecules: MoleculeBatch, energies: torch.Tensor) -> dict[int, float]:
    """The lowest energy of each neutral isolated atom."""
    alone = (molecules.n_atoms == 1) & (molecules.charge == 0)
    out: dict[int, float] = {}
    for number, energy in zip(
        molecules[alone].numbers.tolist(), energies[alone].tolist(), strict=True
    ):
        out[number] = min(energy, out.get(number, energy))
    return out


def _kinds(frames: Sequence[Frame], stem: str) -> list[str]:
    kinds = [str(frame.values.get("config_type", stem)) for frame in frames]
    return kinds if len(set(kinds)) <= _MAX_KINDS else [stem] * len(frames)


def _identities(frames: Sequence[Frame]) -> list[str]:
    """The molecules of all structures by one kind of name, so that none has two names."""
    written = [_smiles_of(frame) for frame in frames]
    canonical = {smiles: _canonical(smiles) for smiles in set(written)}
    named = [canonical[smiles] for smiles in written]
    if all(named):
        return [name for name in named if name]
    return [Bag(frame.atoms.numbers.tolist()).formula for frame in frames]


def _smiles_of(frame: Frame) -> str:
    """The SMILES of a structure as its file has it; empty if it has none."""
    value = frame.values.get("smiles", "")
    if isinstance(value, bool | np.bool_) and not value:
        return "F"  # which ASE reads as false
    return str(value)


def _canonical(smiles: str) -> str | None:
    mol = parse(smiles)
    return None if mol is None else canonical_smiles(mol)


def _splits(path: Path, frames: Sequence[Frame]) -> torch.Tensor | None:
    names = Counter(str(frame.values["split"]) for frame in frames if "split" in frame.values)
    if not names:
        return None
    for name in names:
        if name.lower() not in _SPLITS:
            raise InputError(f"{path}: no split is called {name!r}; {did_you_mean(name, _SPLITS)}")
    if names.total() < len(frames):
        raise InputError(
            f"{path}: {names.total()} of {len(frames)} structures have a split; give all one, or "
            "none"
        )
    return torch.tensor([_SPLITS[str(frame.values["split"]).lower()] for frame in frames])


def _numbered(names: Sequence[str]) -> tuple[tuple[str, ...], torch.Tensor]:
    """The distinct names, and the place of each name among them."""
    distinct = tuple(dict.fromkeys(names))
    place = {name: i for i, name in enumerate(distinct)}
    return distinct, torch.tensor([place[name] for name in names], dtype=torch.int64)
