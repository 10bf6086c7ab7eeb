"""Many molecules or structures as flat tensors, with every field declared once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from molrl.errors import InputError

Fill = Callable[[Any], Tensor]


def per_atom(shape: tuple[int, ...] = (), fill: Fill | None = None) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field with one row per atom.

    Args:
        shape: of a row.
        fill: gives the whole field for a batch that comes without; None for a required field.
    """
    return _declare("atom", shape, fill)


def per_molecule(shape: tuple[int, ...] = (), fill: Fill | None = None) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field with one row per molecule; see :func:`per_atom`."""
    return _declare("molecule", shape, fill)


def _declare(per: str, shape: tuple[int, ...], fill: Fill | None) -> Any:  # noqa: ANN401 - as dataclasses.field
    metadata = {"per": per, "shape": shape, "fill": fill}
    return field(metadata=metadata) if fill is None else field(default=None, metadata=metadata)


@dataclass(frozen=True)
class FlatBatch:
    """Atoms of many molecules one after the other, and what else is known of each.

    Every field is a tensor, declared with :func:`per_atom` or :func:`per_molecule`; all operations
    follow from the declarations, so a subclass with one more field is indexed, joined, moved and
    stored with it.

    Attributes:
        numbers: ``(n_atoms_total,)`` int64, atomic numbers, molecule after molecule.
        positions: ``(n_atoms_total, 3)`` floating, Å.
        n_atoms: ``(n_molecules,)`` int64; 0 for a molecule without atoms.

    Raises:
        InputError: if the shapes do not belong together.

    Example:
        >>> @dataclass(frozen=True)
        ... class WithMasses(MoleculeBatch):
        ...     mass: Tensor = per_atom(fill=lambda batch: MASSES[batch.numbers])
    """

    numbers: Tensor = per_atom()
    positions: Tensor = per_atom((3,))
    n_atoms: Tensor = per_molecule()

    _required: ClassVar[tuple[str, ...]] = ("numbers", "positions", "n_atoms")
    _fields: "ClassVar[tuple[Field[Any], ...]]"

    def __post_init__(self) -> None:
        total = len(self.numbers)
        if self.positions.shape != (total, 3):
            raise InputError(f"positions must be ({total}, 3), not {tuple(self.positions.shape)}")
        if int(self.n_atoms.sum()) != total or bool((self.n_atoms < 0).any()):
            raise InputError(f"n_atoms must add up to the {total} atoms there are")
        for declared in self._declared():
            if getattr(self, declared.name) is None:
                object.__setattr__(self, declared.name, declared.metadata["fill"](self))
            self._check_shape(declared)

    def _check_shape(self, declared: "Field[Any]") -> None:
        given = tuple(getattr(self, declared.name).shape)
        rows = len(self.numbers) if declared.metadata["per"] == "atom" else len(self.n_atoms)
        wanted = (rows, *declared.metadata["shape"])
        if given != wanted:
            raise InputError(f"{declared.name} must be {wanted}, not {given}")

    @classmethod
    def _declared(cls) -> "tuple[Field[Any], ...]":
        if "_fields" not in vars(cls):  # read for every batch that is made
            cls._fields = tuple(f for f in fields(cls) if "per" in f.metadata)
        return cls._fields

    @classmethod
    def atom_fields(cls) -> tuple[str, ...]:
        """Names of the fields with one row per atom."""
        return tuple(f.name for f in cls._declared() if f.metadata["per"] == "atom")

    @classmethod
    def molecule_fields(cls) -> tuple[str, ...]:
        """Names of the fields with one row per molecule."""
        return tuple(f.name for f in cls._declared() if f.metadata["per"] == "molecule")

    def __len__(self) -> int:
        return len(self.n_atoms)

    @cached_property
    def molecule(self) -> Tensor:
        """``(n_atoms_total,)`` int64: the molecule each atom belongs to."""
        return torch.repeat_interleave(self.n_atoms)

    @cached_property
    def starts(self) -> Tensor:
        """``(n_molecules,)`` int64: where each molecule's atoms begin."""
        return self.n_atoms.cumsum(0) - self.n_atoms

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.positions.device

    def sum_atoms(self, values: Tensor) -> Tensor:
        """Sum ``(n_atoms_total, ...)`` over the atoms of each molecule."""
        out = values.new_zeros((len(self.n_atoms), *values.shape[1:]))
        return out.index_add_(0, torch.repeat_interleave(self.n_atoms), values)

    def atoms_of(self, chosen: Tensor) -> Tensor:
        """Return the indices of the atoms of molecules ``chosen (m,)`` int64, in that order.

        Returns:
            ``(n_atoms of all chosen,)`` int64; what belongs to the atoms of ``self[chosen]`` in
            any tensor with one row per atom.
        """
        n_atoms = self.n_atoms[chosen]
        within = torch.arange(int(n_atoms.sum()), device=self.device)
        within = within - torch.repeat_interleave(n_atoms.cumsum(0) - n_atoms, n_atoms)
        return torch.repeat_interleave(self.starts[chosen], n_atoms) + within

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | Tensor) -> Self:
        """The chosen molecules, in the order asked for: an int, a slice, indices or a mask."""
        every = torch.arange(len(self), device=self.device)
        if isinstance(index, int | np.integer):
            index = [int(index)]
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.device)
            index = index if len(index) else index.long()
        chosen = every[index]
        atoms = self.atoms_of(chosen)
        taken = {name: getattr(self, name)[atoms] for name in self.atom_fields()}
        taken |= {name: getattr(self, name)[chosen] for name in self.molecule_fields()}
        return replace(self, **taken)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """A copy on another device, or with floating fields of another type."""
        moved = {}
        for declared in self._declared():
            tensor = getattr(self, declared.name)
            floating = dtype if tensor.is_floating_point() else None
            moved[declared.name] = tensor.to(device=device, dtype=floating)
        return replace(self, **moved)

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """One batch of all the molecules of several."""
        names = [declared.name for declared in cls._declared()]
        return cls(**{name: torch.cat([getattr(b, name) for b in batches]) for name in names})

    def to_dict(self) -> dict[str, np.ndarray]:
        """Name of each field to a NumPy array, for who stores a batch."""
        return {f.name: getattr(self, f.name).detach().cpu().numpy() for f in self._declared()}

    @classmethod
    def from_dict(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """From what :meth:`to_dict` gave; fields that are missing are filled in.

        Integers may be stored narrower than they are here, int64; other keys are not looked at.

        Raises:
            InputError: if a required field is missing, or the shapes do not belong together.
        """
        missing = [name for name in cls._required if name not in arrays]
        if missing:
            raise InputError(f"a batch needs {', '.join(missing)}")
        found = {f.name: arrays[f.name] for f in cls._declared() if f.name in arrays}
        return cls(**{name: _tensor(array) for name, array in found.items()})

    def to_padded(self, n_slots: int | None = None) -> dict[str, Tensor]:
        """Name of each field but ``n_atoms`` to a tensor with one row per molecule.

        Args:
            n_slots: atoms of the longest row; those of the largest molecule, if None.

        Returns:
            Fields of atoms as ``(n_molecules, n_slots, ...)``, 0 in empty slots; fields of
            molecules as they are.
        """
        width = n_slots or (int(self.n_atoms.max()) if len(self) else 0)
        filled = torch.arange(width, device=self.device) < self.n_atoms[:, None]
        padded = {name: getattr(self, name) for name in self.molecule_fields() if name != "n_atoms"}
        for name in self.atom_fields():
            values = getattr(self, name)
            padded[name] = values.new_zeros((len(self), width, *values.shape[1:]))
            padded[name][filled] = values
        return padded

    @classmethod
    def from_padded(cls, numbers: Tensor, positions: Tensor, **others: Tensor) -> Self:
        """From padded tensors; a slot is empty where its atomic number is 0.

        Args:
            numbers: ``(n_molecules, n_slots)``.
            positions: ``(n_molecules, n_slots, 3)``.
            others: further fields, those of atoms padded likewise.
        """
        filled = numbers > 0
        atoms = {"positions": positions} | others
        given = {n: v[filled] if n in cls.atom_fields() else v for n, v in atoms.items()}
        return cls(numbers=numbers[filled].long(), n_atoms=filled.sum(-1), **given)


def _tensor(array: np.ndarray) -> Tensor:
    """Integers as int64, all else in its own type."""
    integral = np.issubdtype(array.dtype, np.integer)
    return torch.from_numpy(array.astype(np.int64) if integral else np.array(array))
