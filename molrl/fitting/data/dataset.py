"""Labelled structures in one file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from molrl.chemistry.molecule_set import SPLITS
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_atomically

LOW_FORCE = 30.0  # eV/Å; structures with a larger force on an atom are high-force structures
_ARRAYS = {
    "numbers": np.integer,
    "positions": np.floating,
    "n_atoms": np.integer,
    "energy": np.floating,
    "forces": np.floating,
    "kind": np.integer,
    "kinds": np.str_,
    "split": np.integer,
    "identity": np.integer,
    "identities": np.str_,
}
_STORED = {"numbers": np.uint8, "positions": np.float32, "n_atoms": np.int32}  # others as they are
_FORMER_KINDS = {"frag": "fragments", "walk": "random walk", "settled": "partially relaxed"}
FORMER_REFERENCE = "gfn2"  # what most likely labelled files from before they named theirs
_SAME_ATOM = 1e-3  # eV; energies of an isolated atom that differ by more are of two references


@dataclass(frozen=True)
class Dataset:
    """Structures with energies and forces, each with its kind, identity and split.

    Attributes:
        molecules: the structures with all their fields, positions float32.
        energy: ``(n_structures,)`` float64, total energy, eV.
        forces: ``(n_atoms_total, 3)`` float32, eV/Å.
        kind: ``(n_structures,)`` int64, index into ``kinds``.
        kinds: names of the kinds.
        split: ``(n_structures,)`` int64, index into
            :data:`molrl.chemistry.molecule_set.SPLITS`.
        identity: ``(n_structures,)`` int64, index into ``identities``.
        identities: canonical SMILES of the molecule that a structure came from, its formula if
            only that is known, or, where it came from no molecule, a name of its own that begins
            with ``walk:`` or ``pair:``.
        reference: name of the energy model that labelled all of them; None if it is not known.
        atomic_energies: atomic number to energy of the isolated atom at the level of theory of
            the labels, eV, as far as known.
        file_atoms: the atomic numbers among them of which an isolated atom stood in a file; the
            others are of the reference.

    Example:
        >>> data = Dataset.load("runs/energy/data.npz")  # doctest: +SKIP
        >>> valid = data[data.split == data.splits.index("valid")]  # doctest: +SKIP
    """

    molecules: MoleculeBatch
    energy: Tensor
    forces: Tensor
    kind: Tensor
    kinds: tuple[str, ...]
    split: Tensor
    identity: Tensor
    identities: tuple[str, ...]
    reference: str | None = None
    atomic_energies: Mapping[int, float] = field(default_factory=dict)
    file_atoms: frozenset[int] = frozenset()

    splits = SPLITS

    def __len__(self) -> int:
        return len(self.molecules)

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray | Tensor) -> Self:
        """The chosen structures: a slice, indices or a mask."""
        index = torch.arange(len(self))[index]
        molecules, energy, forces = self.take(index)
        return replace(
            self,
            molecules=molecules,
            energy=energy,
            forces=forces,
            kind=self.kind[index],
            split=self.split[index],
            identity=self.identity[index],
        )

    def take(self, index: Tensor) -> tuple[MoleculeBatch, Tensor, Tensor]:
        """Return the structures at ``index (n,)`` int64, their energies and their forces."""
        atoms = self.molecules.atoms_of(index)
        return self.molecules[index], self.energy[index], self.forces[atoms]

    def of_kind(self, name: str) -> Tensor:
        """Return ``(n_structures,)`` bool: which structures are of the kind.

        Raises:
            InputError: if there is no such kind.
        """
        if name not in self.kinds:
            raise InputError(f"no structures of kind {name!r}; kinds are {', '.join(self.kinds)}")
        return self.kind == self.kinds.index(name)

    def describe(self, index: int) -> str:
        """Return the identity and kind of a structure, for messages.

        Its number is of no use there: files are joined, and isolated atoms are not among them.
        """
        identity, kind = int(self.identity[index]), int(self.kind[index])
        return f"a structure of {self.identities[identity]} ({self.kinds[kind]})"

    def check(self, elements: Iterable[int]) -> None:
        """Check that a model can evaluate all structures; see :meth:`MoleculeBatch.check`.

        Raises:
            InputError: if it cannot; the message names the structure by identity and kind.
        """
        try:
            self.molecules.check(elements)
        except InputError as error:
            named = re.sub(r"^molecule (\d+)", lambda at: self.describe(int(at[1])), str(error))
            raise InputError(f"data: {named}") from None

    def largest_force(self) -> Tensor:
        """Return ``(n_structures,)`` float32: the length of the largest force on an atom, eV/Å."""
        out = torch.zeros(len(self), dtype=self.forces.dtype)
        return out.scatter_reduce_(0, self.molecules.molecule, self.forces.norm(dim=-1), "amax")

    def low_force(self) -> Tensor:
        """Return ``(n_structures,)`` bool: which have no force larger than :data:`LOW_FORCE`."""
        return self.largest_force() <= LOW_FORCE

    @classmethod
    def join(cls, parts: Sequence["Dataset"]) -> "Dataset":
        """Return all structures of several datasets.

        Raises:
            InputError: if they are labelled by different references, or differ in the energy of
                an isolated atom.
        """
        kinds = tuple(dict.fromkeys(name for part in parts for name in part.kinds))
        names = tuple(dict.fromkeys(name for part in parts for name in part.identities))
        return cls(
            molecules=MoleculeBatch.cat([part.molecules for part in parts]),
            energy=torch.cat([part.energy for part in parts]),
            forces=torch.cat([part.forces for part in parts]),
            kind=torch.cat([_renumbered(part.kind, part.kinds, kinds) for part in parts]),
            kinds=kinds,
            split=torch.cat([part.split for part in parts]),
            identity=torch.cat(
                [_renumbered(part.identity, part.identities, names) for part in parts]
            ),
            identities=names,
            reference=_common_reference(parts),
            atomic_energies=_joined_atomic_energies(parts),
            file_atoms=frozenset().union(*(part.file_atoms for part in parts)),
        )

    def save(self, path: Path | str) -> None:
        """Write an ``.npz`` file, whole or not at all.

        Raises:
            InputError: if the name does not end in ``.npz``.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise InputError(f"{path} is not a name for a dataset; it must end in .npz")
        arrays: dict[str, Any] = {
            name: array.astype(_STORED.get(name, array.dtype))
            for name, array in self.molecules.to_dict().items()
        }
        arrays |= {
            "energy": self.energy.numpy(),
            "forces": self.forces.numpy().astype(np.float32),
            "kind": self.kind.numpy().astype(np.int16),
            "kinds": np.array(self.kinds, dtype=np.str_),
            "split": self.split.numpy().astype(np.int8),
            "identity": self.identity.numpy().astype(np.int32),
            "identities": np.array(self.identities, dtype=np.str_),
            "reference": np.array(self.reference or "", dtype=np.str_),
            "isolated_numbers": np.array(list(self.atomic_energies), dtype=np.uint8),
            "isolated_energies": np.array(list(self.atomic_energies.values()), dtype=np.float64),
            "isolated_in_file": np.array(
                [number in self.file_atoms for number in self.atomic_energies], dtype=np.bool_
            ),
        }
        write_atomically(path, lambda file: np.savez_compressed(file, **arrays))

    @classmethod
    def load(cls, path: Path | str) -> "Dataset":
        """Read a file that :meth:`save` wrote, now or in an earlier version.

        Raises:
            InputError: if it is missing or not a dataset.
        """
        arrays = _read(Path(path))
        try:
            molecules = MoleculeBatch.from_dict(arrays).to(dtype=torch.float32)
        except InputError as error:
            raise InputError(f"dataset {path}: {error}") from None
        reference = str(arrays.get("reference", "")) or None
        isolated = arrays.get("isolated_numbers", np.zeros(0, int))
        in_file = arrays.get("isolated_in_file", np.full(len(isolated), reference is None))
        return cls(
            molecules=molecules,
            energy=torch.from_numpy(arrays["energy"].astype(np.float64)),
            forces=torch.from_numpy(arrays["forces"].astype(np.float32)),
            kind=torch.from_numpy(arrays["kind"].astype(np.int64)),
            kinds=tuple(_FORMER_KINDS.get(name, name) for name in arrays["kinds"].tolist()),
            split=torch.from_numpy(arrays["split"].astype(np.int64)),
            identity=torch.from_numpy(arrays["identity"].astype(np.int64)),
            identities=tuple(arrays["identities"].tolist()),
            reference=reference,
            atomic_energies=dict(
                zip(
                    isolated.tolist(),
                    arrays.get("isolated_energies", np.zeros(0)).tolist(),
                    strict=True,
                )
            ),
            file_atoms=frozenset(isolated[in_file].tolist()),
        )


def lacks_reference(path: Path | str) -> bool:
    """Return whether a file is a dataset of an earlier version, which could name no reference."""
    with np.load(path, allow_pickle=False) as file:
        return "reference" not in file.files


def _renumbered(index: Tensor, old: tuple[str, ...], new: tuple[str, ...]) -> Tensor:
    """Indices into ``old`` as indices into ``new``, which holds all of its names."""
    place = {name: i for i, name in enumerate(new)}
    return torch.tensor([place[name] for name in old], dtype=torch.int64)[index]


def _common_reference(parts: Sequence[Dataset]) -> str | None:
    names = {part.reference for part in parts if len(part)}
    if len(names) > 1:
        listed = sorted(name or "one that is not known" for name in names)
        raise InputError(
            f"the data are labelled by different references, {', '.join(listed)}; fit to those of "
            "one, and name it with `reference` where a file does not"
        )
    return names.pop() if names else None


def _joined_atomic_energies(parts: Sequence[Dataset]) -> dict[int, float]:
    out: dict[int, float] = {}
    for part in sorted(parts, key=lambda part: not part.file_atoms):  # those of files first
        for number, energy in part.atomic_energies.items():
            if abs(out.setdefault(number, energy) - energy) > _SAME_ATOM:
                raise InputError(
                    f"the data differ in the energy of an isolated atom of atomic number {number}: "
                    f"{out[number]:g} and {energy:g} eV; fit to the data of one reference"
                )
    return out


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, checked to belong together."""
    if not path.is_file():
        raise InputError(f"dataset {path} does not exist; make it with `molrl energy data`")
    if not is_zipfile(path):
        raise InputError(f"{path} is not a dataset (.npz)")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # NumPy and zipfile raise whatever a broken file trips them into
        if "allow_pickle" in str(error):  # NumPy's advice, which would run code of the file
            raise InputError(f"{path} is not a dataset (.npz)") from None
        raise InputError(f"dataset {path} cannot be read: {error}") from None
    for name, dtype in _ARRAYS.items():
        if name not in arrays or not np.issubdtype(arrays[name].dtype, dtype):
            raise InputError(f"dataset {path} holds no array {name!r} of the right type")
    _check(path, arrays)
    return arrays


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    n, total = len(arrays["n_atoms"]), int(arrays["n_atoms"].sum())
    shapes: dict[str, tuple[int, ...]] = {"positions": (total, 3), "forces": (total, 3)}
    shapes |= {"numbers": (total,), "energy": (n,), "kind": (n,), "split": (n,), "identity": (n,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise InputError(f"dataset {path}: {name} must be {shape}, not {arrays[name].shape}")
        if not np.isfinite(arrays[name]).all():
            raise InputError(f"dataset {path}: {name} holds what is not a finite number")
    limits = {"kind": len(arrays["kinds"]), "split": len(SPLITS)}
    limits["identity"] = len(arrays["identities"])
    for name, limit in limits.items():
        if n and not 0 <= arrays[name].min() <= arrays[name].max() < limit:
            raise InputError(f"dataset {path}: {name} must lie in 0 to {limit - 1}")
    if n and arrays["n_atoms"].min() < 1:
        raise InputError(f"dataset {path}: a structure has no atom; each must have one at least")
