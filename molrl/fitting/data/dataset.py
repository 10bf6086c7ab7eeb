"""Labelled structures in one file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Self
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from molrl.batches import per_atom, per_molecule
from molrl.chemistry.molecule_set import SPLITS
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import check_writable, write_atomically

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
_OPTIONAL = {  # arrays that files of earlier versions and of other programs lack
    "site_energy": np.floating,
    "dipole": np.floating,
    "bound": np.bool_,
    "part": np.integer,
    "interaction": np.floating,
}
_STORED = {  # others as they are
    "numbers": np.uint8,
    "positions": np.float32,
    "n_atoms": np.int32,
    "kind": np.int16,
    "split": np.int8,
    "identity": np.int32,
    "part": np.int16,
}
_FORMER_KINDS = {"frag": "fragments", "walk": "random walk", "settled": "partially relaxed"}
FORMER_REFERENCE = "gfn2"  # what most likely labelled files from before they named theirs
SAME_ATOM = 1e-3  # eV; energies of an isolated atom that differ by more are of two references


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
        site_energy: ``(n_atoms_total,)`` float32, eV, the reference's atom-resolved energy minus
            the energy of the isolated atom; NaN where not known.
        dipole: ``(n_structures, 3)`` float32, e Å, about the origin of the positions, which only
            that of a charged structure depends on; NaN where not known.
        bound: ``(n_structures,)`` bool, whether the energy is only a lower bound of the
            reference's, as :func:`molrl.energy.lower_bound.evaluate_or_bound` gives it; the forces
            are 0 then, and are no labels.
        part: ``(n_atoms_total,)`` int64, index of an atom's molecule within its structure; 0 in
            structures that are not of several molecules.
        interaction: ``(n_structures,)`` float32, eV, the energy minus those of the molecules of
            the structure, each alone in the same geometry; NaN where there is one, or not known.

    Raises:
        InputError: if a tensor has another shape.

    Example:
        >>> data = Dataset.load("runs/energy/data.npz")  # doctest: +SKIP
        >>> valid = data[data.split == data.splits.index("valid")]  # doctest: +SKIP
    """

    molecules: MoleculeBatch
    kinds: tuple[str, ...]
    identities: tuple[str, ...]
    energy: Tensor = per_molecule()
    forces: Tensor = per_atom((3,))
    kind: Tensor = per_molecule()
    split: Tensor = per_molecule()
    identity: Tensor = per_molecule()
    reference: str | None = None
    atomic_energies: Mapping[int, float] = field(default_factory=dict)
    file_atoms: frozenset[int] = frozenset()
    site_energy: Tensor = per_atom(fill=lambda data: _unknown(len(data.forces)))
    dipole: Tensor = per_molecule((3,), lambda data: _unknown(len(data), 3))
    bound: Tensor = per_molecule(fill=lambda data: torch.zeros(len(data), dtype=torch.bool))
    part: Tensor = per_atom(fill=lambda data: torch.zeros(len(data.forces), dtype=torch.int64))
    interaction: Tensor = per_molecule(fill=lambda data: _unknown(len(data)))

    splits = SPLITS

    def __post_init__(self) -> None:
        rows = {"atom": len(self.molecules.numbers), "molecule": len(self)}
        for declared in _labels():
            if getattr(self, declared.name) is None:
                object.__setattr__(self, declared.name, declared.metadata["fill"](self))
            given = tuple(getattr(self, declared.name).shape)
            wanted = (rows[declared.metadata["per"]], *declared.metadata["shape"])
            if given != wanted:
                raise InputError(f"{declared.name} must be {wanted}, not {given}")

    def __len__(self) -> int:
        return len(self.molecules)

    def __getitem__(self, index: slice | Sequence[int] | np.ndarray | Tensor) -> Self:
        """The chosen structures with all their labels: a slice, indices or a mask."""
        if not (isinstance(index, Tensor) and index.dtype == torch.int64):
            index = torch.arange(len(self))[index]
        rows = {"atom": self.molecules.atoms_of(index), "molecule": index}
        chosen = {d.name: getattr(self, d.name)[rows[d.metadata["per"]]] for d in _labels()}
        return replace(self, molecules=self.molecules[index], **chosen)

    def to(self, device: torch.device | str) -> Self:
        """Return the structures and labels on a device."""
        labels = {declared.name: getattr(self, declared.name).to(device) for declared in _labels()}
        return replace(self, molecules=self.molecules.to(device), **labels)

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
        out = self.forces.new_zeros(len(self))
        return out.scatter_reduce_(0, self.molecules.molecule, self.forces.norm(dim=-1), "amax")

    def low_force(self) -> Tensor:
        """Return ``(n_structures,)`` bool: which have no force larger than :data:`LOW_FORCE`.

        Those with a bound for an energy have no forces, and are not among them.
        """
        return (self.largest_force() <= LOW_FORCE) & ~self.bound

    @classmethod
    def join(cls, parts: Sequence["Dataset"]) -> "Dataset":
        """Return all structures of several datasets.

        Raises:
            InputError: if they are labelled by different references, or differ in the energy of
                an isolated atom.
        """
        kinds = tuple(dict.fromkeys(name for part in parts for name in part.kinds))
        names = tuple(dict.fromkeys(name for part in parts for name in part.identities))
        labels = {d.name: torch.cat([getattr(part, d.name) for part in parts]) for d in _labels()}
        labels["kind"] = torch.cat([_renumbered(part.kind, part.kinds, kinds) for part in parts])
        labels["identity"] = torch.cat(
            [_renumbered(part.identity, part.identities, names) for part in parts]
        )
        return cls(
            molecules=MoleculeBatch.cat([part.molecules for part in parts]),
            **labels,
            kinds=kinds,
            identities=names,
            reference=_common_reference(parts),
            atomic_energies=_joined_atomic_energies(parts),
            file_atoms=frozenset().union(*(part.file_atoms for part in parts)),
        )

    def save(self, path: Path | str) -> None:
        """Write an ``.npz`` file, whole or not at all.

        Raises:
            InputError: if the name does not end in ``.npz``, or the file cannot be written there.
        """
        path = check_writable(path)
        if path.suffix != ".npz":
            raise InputError(f"{path} is not a name for a dataset; it must end in .npz")
        arrays: dict[str, Any] = self.molecules.to_dict()
        arrays |= {declared.name: getattr(self, declared.name).numpy() for declared in _labels()}
        arrays = {name: a.astype(_STORED.get(name, a.dtype)) for name, a in arrays.items()}
        arrays |= {
            "kinds": np.array(self.kinds, dtype=np.str_),
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
        labels = {d.name: arrays[d.name] for d in _labels() if d.name in arrays}
        return cls(
            molecules=molecules,
            **{name: _as_held(name, array) for name, array in labels.items()},
            kinds=tuple(_FORMER_KINDS.get(name, name) for name in arrays["kinds"].tolist()),
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


@cache
def _labels() -> "tuple[Field[Any], ...]":
    """The fields of :class:`Dataset` with one row per structure or atom."""
    return tuple(declared for declared in fields(Dataset) if "per" in declared.metadata)


def _unknown(*shape: int) -> Tensor:
    return torch.full(shape, torch.nan)


def _as_held(name: str, array: np.ndarray) -> Tensor:
    """A label of a file in the type in which it is held."""
    if np.issubdtype(array.dtype, np.integer):
        return torch.from_numpy(array.astype(np.int64))
    if np.issubdtype(array.dtype, np.floating):
        return torch.from_numpy(array.astype(np.float64 if name == "energy" else np.float32))
    return torch.from_numpy(array)


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
            if abs(out.setdefault(number, energy) - energy) > SAME_ATOM:
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
    for name, dtype in _OPTIONAL.items():
        if name in arrays and not np.issubdtype(arrays[name].dtype, dtype):
            raise InputError(f"dataset {path}: {name} must be of a type of {dtype.__name__}")
    _check(path, arrays)
    return arrays


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    n, total = len(arrays["n_atoms"]), int(arrays["n_atoms"].sum())
    rows = {"atom": total, "molecule": n}
    shapes = {d.name: (rows[d.metadata["per"]], *d.metadata["shape"]) for d in _labels()}
    shapes |= {"positions": (total, 3), "numbers": (total,)}
    for name in shapes.keys() & arrays.keys():
        array, shape = arrays[name], shapes[name]
        if array.shape != shape:
            raise InputError(f"dataset {path}: {name} must be {shape}, not {array.shape}")
        # An optional label may be unknown, which is NaN.
        if not np.isfinite(array[~np.isnan(array)] if name in _OPTIONAL else array).all():
            raise InputError(f"dataset {path}: {name} holds what is not a finite number")
    if total and "part" in arrays and arrays["part"].min() < 0:
        raise InputError(f"dataset {path}: part must be 0 at least")
    limits = {"kind": len(arrays["kinds"]), "split": len(SPLITS)}
    limits["identity"] = len(arrays["identities"])
    for name, limit in limits.items():
        if n and not 0 <= arrays[name].min() <= arrays[name].max() < limit:
            raise InputError(f"dataset {path}: {name} must lie in 0 to {limit - 1}")
    if n and arrays["n_atoms"].min() < 1:
        raise InputError(f"dataset {path}: a structure has no atom; each must have one at least")
