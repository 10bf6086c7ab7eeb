"""Labelled structures in one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from molrl.chemistry.molecule_set import SPLITS
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_atomically

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


@dataclass(frozen=True)
class Dataset:
    """Structures with energies and forces, each with its kind, identity and split.

    Attributes:
        molecules: the structures, positions float32, neutral and of the lowest spin.
        energy: ``(n_structures,)`` float64, total energy, eV.
        forces: ``(n_atoms_total, 3)`` float32, eV/Å.
        kind: ``(n_structures,)`` int64, index into ``kinds``.
        kinds: names of the kinds.
        split: ``(n_structures,)`` int64, index into
            :data:`molrl.chemistry.molecule_set.SPLITS`.
        identity: ``(n_structures,)`` int64, index into ``identities``.
        identities: canonical SMILES of the molecule that a structure came from, or, where it came
            from none, a name of its own that begins with ``walk:`` or ``pair:``.
    """

    molecules: MoleculeBatch
    energy: Tensor
    forces: Tensor
    kind: Tensor
    kinds: tuple[str, ...]
    split: Tensor
    identity: Tensor
    identities: tuple[str, ...]

    splits = SPLITS

    def __len__(self) -> int:
        return len(self.molecules)

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray | Tensor) -> Self:
        """The chosen structures: a slice, indices or a mask."""
        index = torch.arange(len(self))[index]
        molecules, energy, forces = self.take(index)
        return type(self)(
            molecules=molecules,
            energy=energy,
            forces=forces,
            kind=self.kind[index],
            kinds=self.kinds,
            split=self.split[index],
            identity=self.identity[index],
            identities=self.identities,
        )

    def take(self, index: Tensor) -> tuple[MoleculeBatch, Tensor, Tensor]:
        """The structures at ``index (n,)`` int64, their energies and their forces."""
        molecules = self.molecules[index]
        first = torch.repeat_interleave(
            self.molecules.starts[index] - molecules.starts, molecules.n_atoms
        )
        atoms = first + torch.arange(len(molecules.numbers))
        return molecules, self.energy[index], self.forces[atoms]

    def of_kind(self, name: str) -> Tensor:
        """``(n_structures,)`` bool: which are of the kind.

        Raises:
            InputError: if there is no such kind.
        """
        if name not in self.kinds:
            raise InputError(f"no structures of kind {name!r}; kinds are {', '.join(self.kinds)}")
        return self.kind == self.kinds.index(name)

    def largest_force(self) -> Tensor:
        """``(n_structures,)`` float32: the length of the largest force on an atom, eV/Å."""
        out = torch.zeros(len(self), dtype=self.forces.dtype)
        return out.scatter_reduce_(0, self.molecules.molecule, self.forces.norm(dim=-1), "amax")

    @classmethod
    def join(cls, parts: Sequence["Dataset"]) -> "Dataset":
        """All structures of several datasets."""
        kinds = tuple(dict.fromkeys(name for part in parts for name in part.kinds))
        names = tuple(dict.fromkeys(name for part in parts for name in part.identities))
        place = {name: i for i, name in enumerate(names)}
        return cls(
            molecules=MoleculeBatch.cat([part.molecules for part in parts]),
            energy=torch.cat([part.energy for part in parts]),
            forces=torch.cat([part.forces for part in parts]),
            kind=torch.cat(
                [torch.tensor([kinds.index(k) for k in part.kinds])[part.kind] for part in parts]
            ),
            kinds=kinds,
            split=torch.cat([part.split for part in parts]),
            identity=torch.cat(
                [torch.tensor([place[s] for s in part.identities])[part.identity] for part in parts]
            ),
            identities=names,
        )

    def save(self, path: Path | str) -> None:
        """Write an ``.npz`` file, whole or not at all."""
        arrays: dict[str, Any] = {
            "numbers": self.molecules.numbers.numpy().astype(np.uint8),
            "positions": self.molecules.positions.numpy().astype(np.float32),
            "n_atoms": self.molecules.n_atoms.numpy().astype(np.int32),
            "energy": self.energy.numpy(),
            "forces": self.forces.numpy().astype(np.float32),
            "kind": self.kind.numpy().astype(np.int16),
            "kinds": np.array(self.kinds, dtype=np.str_),
            "split": self.split.numpy().astype(np.int8),
            "identity": self.identity.numpy().astype(np.int32),
            "identities": np.array(self.identities, dtype=np.str_),
        }
        path = Path(path)
        if path.suffix != ".npz":
            raise InputError(f"{path} is no name for a dataset; it must end in .npz")
        write_atomically(path, lambda file: np.savez_compressed(file, **arrays))

    @classmethod
    def load(cls, path: Path | str) -> "Dataset":
        """Read a file that :meth:`save` wrote.

        Raises:
            InputError: if it is missing or no dataset.
        """
        arrays = _read(Path(path))
        return cls(
            molecules=MoleculeBatch(
                numbers=torch.from_numpy(arrays["numbers"].astype(np.int64)),
                positions=torch.from_numpy(arrays["positions"].astype(np.float32)),
                n_atoms=torch.from_numpy(arrays["n_atoms"].astype(np.int64)),
            ),
            energy=torch.from_numpy(arrays["energy"].astype(np.float64)),
            forces=torch.from_numpy(arrays["forces"].astype(np.float32)),
            kind=torch.from_numpy(arrays["kind"].astype(np.int64)),
            kinds=tuple(arrays["kinds"].tolist()),
            split=torch.from_numpy(arrays["split"].astype(np.int64)),
            identity=torch.from_numpy(arrays["identity"].astype(np.int64)),
            identities=tuple(arrays["identities"].tolist()),
        )


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, checked to belong together."""
    if not path.is_file():
        raise InputError(f"dataset {path} does not exist; make it with `molrl energy data`")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # NumPy and zipfile raise whatever a broken file trips them into
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
