"""Batches of molecules as flat tensors, with every field declared once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
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
        shape: shape of a row; ``()`` for a number.
        fill: computes the default of the whole field, ``(n_atoms_total, *shape)``, from the batch;
            None only for the required fields of :class:`FlatBatch`, so a subclass must give it.

    Example:
        >>> velocities: Tensor = per_atom((3,), lambda batch: torch.zeros_like(batch.positions))
    """
    return _declare("atom", shape, fill)


def per_molecule(shape: tuple[int, ...] = (), fill: Fill | None = None) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field with one row per molecule.

    Args:
        shape: shape of a row; ``()`` for a number.
        fill: computes the default of the whole field, ``(n_molecules, *shape)``, from the batch;
            None only for the required fields of :class:`FlatBatch`, so a subclass must give it.

    Example:
        >>> label: Tensor = per_molecule(fill=lambda batch: torch.zeros_like(batch.n_atoms))
    """
    return _declare("molecule", shape, fill)


def _declare(per: str, shape: tuple[int, ...], fill: Fill | None) -> Any:  # noqa: ANN401 - as dataclasses.field
    metadata = {"per": per, "shape": shape, "fill": fill}
    return field(metadata=metadata) if fill is None else field(default=None, metadata=metadata)


@dataclass(frozen=True, repr=False)
class FlatBatch:
    """The atoms of many molecules, concatenated, with further data per atom or per molecule.

    Every field is a tensor, declared with :func:`per_atom` or :func:`per_molecule`. All operations
    (indexing, :meth:`to`, :meth:`cat`, :meth:`to_dict`, :meth:`to_padded`) follow from the
    declarations, so a field that a subclass adds is indexed, moved, joined and stored too.

    Attributes:
        numbers: ``(n_atoms_total,)`` int64, atomic numbers, molecule after molecule.
        positions: ``(n_atoms_total, 3)`` floating, Å.
        n_atoms: ``(n_molecules,)`` int64; 0 for a molecule without atoms.

    Raises:
        InputError: if the shapes or types are inconsistent, or a subclass declares a field without
            ``fill``.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Labelled(FlatBatch):
        ...     label: Tensor = per_molecule(fill=lambda batch: torch.zeros_like(batch.n_atoms))
        >>> batch = Labelled(torch.tensor([1, 1, 8]), torch.zeros(3, 3), torch.tensor([2, 1]))
        >>> batch.label, len(batch[[1]].numbers)
        (tensor([0, 0]), 1)
    """

    numbers: Tensor = per_atom()
    positions: Tensor = per_atom((3,))
    n_atoms: Tensor = per_molecule()

    _required: ClassVar[tuple[str, ...]] = ("numbers", "positions", "n_atoms")
    _fields: "ClassVar[tuple[Field[Any], ...]]"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name, declared in vars(cls).items():
            if not isinstance(declared, Field) or name in cls._required:
                continue
            if "fill" in declared.metadata and declared.metadata["fill"] is None:
                per = declared.metadata["per"]
                raise InputError(
                    f"{cls.__name__}.{name} has no default; declare it with per_{per}(fill=...)"
                )

    def __post_init__(self) -> None:
        total = len(self.numbers)
        if self.positions.shape != (total, 3):
            raise InputError(f"positions must be ({total}, 3), not {tuple(self.positions.shape)}")
        if int(self.n_atoms.sum()) != total or bool((self.n_atoms < 0).any()):
            raise InputError(
                f"n_atoms must be at least 0 each and add up to {total}, the number of atoms"
            )
        if self.numbers.is_floating_point() or self.n_atoms.is_floating_point():
            raise InputError("numbers and n_atoms must be integers")
        if not self.positions.is_floating_point():
            raise InputError(f"positions must be of a floating type, not {self.positions.dtype}")
        for declared in self._declared():
            if getattr(self, declared.name) is None:
                object.__setattr__(self, declared.name, declared.metadata["fill"](self))
            self._check_shape(declared)

    def _check_shape(self, declared: "Field[Any]") -> None:
        """Raise an ``InputError`` unless a field has its declared shape."""
        given = tuple(getattr(self, declared.name).shape)
        rows = len(self.numbers) if declared.metadata["per"] == "atom" else len(self.n_atoms)
        wanted = (rows, *declared.metadata["shape"])
        if given != wanted:
            raise InputError(f"{declared.name} must be {wanted}, not {given}")

    @classmethod
    def _declared(cls) -> "tuple[Field[Any], ...]":
        """Return the fields declared with :func:`per_atom` or :func:`per_molecule`."""
        if "_fields" not in vars(cls):  # cached: read whenever a batch is constructed
            cls._fields = tuple(f for f in fields(cls) if "per" in f.metadata)
        return cls._fields

    @classmethod
    def atom_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields with one row per atom."""
        return tuple(f.name for f in cls._declared() if f.metadata["per"] == "atom")

    @classmethod
    def molecule_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields with one row per molecule."""
        return tuple(f.name for f in cls._declared() if f.metadata["per"] == "molecule")

    def __len__(self) -> int:
        return len(self.n_atoms)

    def __repr__(self) -> str:
        dtype = str(self.positions.dtype).removeprefix("torch.")
        return (
            f"<{type(self).__name__} of {len(self)} molecules, {len(self.numbers)} atoms, {dtype} "
            f"on {self.device}>"
        )

    @cached_property
    def molecule(self) -> Tensor:
        """``(n_atoms_total,)`` int64: the molecule each atom belongs to."""
        return torch.repeat_interleave(self.n_atoms)

    @cached_property
    def starts(self) -> Tensor:
        """``(n_molecules,)`` int64: the index of each molecule's first atom."""
        return self.n_atoms.cumsum(0) - self.n_atoms

    @property
    def device(self) -> torch.device:
        """The device of the tensors."""
        return self.positions.device

    def check_coordinates(self, largest: float) -> Self:
        """Return the batch itself after checking its coordinates.

        Args:
            largest: absolute value that is allowed, Å.

        Raises:
            InputError: if a coordinate is not finite or larger.
        """
        bad = ~(self.positions.abs() <= largest).all(-1)  # also NaN
        if bad.any():
            raise InputError(
                f"molecule {int(self.molecule[bad][0])} has a coordinate that is not a finite "
                f"number of at most {largest:.0e} Å"
            )
        return self

    def sum_atoms(self, values: Tensor) -> Tensor:
        """Sum values over the atoms of each molecule.

        Args:
            values: ``(n_atoms_total, ...)``.

        Returns:
            ``(n_molecules, ...)`` of the same type; 0 for a molecule without atoms.
        """
        out = values.new_zeros((len(self.n_atoms), *values.shape[1:]))
        # not the cached self.molecule, which autograd refuses if it was made in inference mode
        return out.index_add_(0, torch.repeat_interleave(self.n_atoms), values)

    def atoms_of(self, chosen: Tensor) -> Tensor:
        """Return the indices of the atoms of some molecules.

        Args:
            chosen: ``(m,)`` int64, indices of molecules, in any order.

        Returns:
            ``(n_atoms of all chosen,)`` int64, in the order of the atoms of ``self[chosen]``; it
            selects their rows from any tensor with one row per atom.
        """
        n_atoms = self.n_atoms[chosen]
        within = torch.arange(int(n_atoms.sum()), device=self.device)
        within = within - torch.repeat_interleave(n_atoms.cumsum(0) - n_atoms, n_atoms)
        return torch.repeat_interleave(self.starts[chosen], n_atoms) + within

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | Tensor) -> Self:
        """Select molecules by an int, a slice, indices or a boolean mask, in the order given."""
        chosen = self._chosen(index)
        atoms = self.atoms_of(chosen)
        taken = {name: getattr(self, name)[atoms] for name in self.atom_fields()}
        taken |= {name: getattr(self, name)[chosen] for name in self.molecule_fields()}
        return replace(self, **taken)

    def _chosen(self, index: int | slice | Sequence[int] | np.ndarray | Tensor) -> Tensor:
        """Return ``(m,)`` int64, the molecules that an index selects."""
        if isinstance(index, slice):
            rows = range(len(self))[index]
            return rows.start + rows.step * torch.arange(len(rows), device=self.device)
        given = None
        with suppress(TypeError, ValueError, RuntimeError):  # neither numbers nor truth values
            given = torch.as_tensor(int(index) if isinstance(index, bool) else index)
        if given is None or given.ndim > 1 or (given.is_floating_point() and given.numel()):
            raise TypeError(
                "molecules are selected by an int, a slice, indices or a boolean mask, not "
                f"{index!r:.60}"
            )
        given = (given if given.ndim else given[None]).to(self.device)
        if given.dtype == torch.bool:
            return torch.arange(len(self), device=self.device)[given]
        return given.long()

    def to(
        self,
        device: torch.device | str | torch.dtype | None = None,
        dtype: torch.dtype | None = None,
    ) -> Self:
        """Return a copy on another device or with floating fields of another type.

        Args:
            device: of the copy; unchanged, if None. A type alone is taken for ``dtype``, as by
                tensors: ``batch.to(torch.float32)``.
            dtype: floating type of the copy; unchanged, if None. Other fields keep their type.

        Raises:
            InputError: if ``dtype`` is no floating type.
        """
        if isinstance(device, torch.dtype):
            device, dtype = None, device
        if dtype is not None and not dtype.is_floating_point:
            raise InputError(f"positions need a floating type such as torch.float64, not {dtype}")
        moved = {}
        for declared in self._declared():
            tensor = getattr(self, declared.name)
            floating = dtype if tensor.is_floating_point() else None
            moved[declared.name] = tensor.to(device=device, dtype=floating)
        return replace(self, **moved)

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """Concatenate batches.

        Args:
            batches: at least one, all on the same device.

        Returns:
            The molecules of all batches, in order.

        Raises:
            InputError: if there is no batch.
        """
        if not batches:
            raise InputError("there are no batches to concatenate; give at least one")
        names = [declared.name for declared in cls._declared()]
        return cls(**{name: torch.cat([getattr(b, name) for b in batches]) for name in names})

    def to_dict(self) -> dict[str, np.ndarray]:
        """Return each field by name as a NumPy array, for storage; see :meth:`from_dict`."""
        return {f.name: getattr(self, f.name).detach().cpu().numpy() for f in self._declared()}

    @classmethod
    def from_dict(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Build a batch from the arrays of :meth:`to_dict`.

        Args:
            arrays: field name to array. Optional fields that are missing get their defaults, keys
                that are not fields are ignored, and integers of any width become int64.

        Raises:
            InputError: if a required field is missing, or shapes or types are inconsistent.
        """
        missing = [name for name in cls._required if name not in arrays]
        if missing:
            raise InputError(f"a batch must have {', '.join(missing)}")
        found = {f.name: arrays[f.name] for f in cls._declared() if f.name in arrays}
        return cls(**{name: _tensor(array) for name, array in found.items()})

    def to_padded(self, n_slots: int | None = None) -> dict[str, Tensor]:
        """Return each field except ``n_atoms`` by name, as a tensor with one row per molecule.

        Args:
            n_slots: width of the padding; the atom count of the largest molecule, if None.

        Returns:
            Fields per atom as ``(n_molecules, n_slots, ...)``, 0 in padding; fields per molecule
            unchanged.

        Raises:
            InputError: if a molecule has more atoms than ``n_slots``.
        """
        largest = int(self.n_atoms.max()) if len(self) else 0
        width = largest if n_slots is None else n_slots
        if width < largest:
            raise InputError(
                f"n_slots must be at least {largest}, the atoms of the largest molecule, not "
                f"{width}"
            )
        filled = torch.arange(width, device=self.device) < self.n_atoms[:, None]
        padded = {name: getattr(self, name) for name in self.molecule_fields() if name != "n_atoms"}
        for name in self.atom_fields():
            values = getattr(self, name)
            padded[name] = values.new_zeros((len(self), width, *values.shape[1:]))
            padded[name][filled] = values
        return padded

    @classmethod
    def from_padded(cls, numbers: Tensor, positions: Tensor, **others: Tensor) -> Self:
        """Build a batch from padded tensors, the inverse of :meth:`to_padded`.

        Args:
            numbers: ``(n_molecules, n_slots)`` integer, atomic numbers; 0 is padding.
            positions: ``(n_molecules, n_slots, 3)`` floating, Å.
            others: further fields by name; fields per atom are padded as well.
        """
        filled = numbers > 0
        atoms = {"positions": positions} | others
        given = {n: v[filled] if n in cls.atom_fields() else v for n, v in atoms.items()}
        return cls(numbers=numbers[filled].long(), n_atoms=filled.sum(-1), **given)


def atom_arrays(molecule: Iterable[object], what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the atoms of a molecule as arrays.

    Args:
        molecule: a pair of ``numbers (n,)``, whole numbers of any type, and ``positions (n, 3)``,
            Å; arrays or lists.
        what: it is, for the error message.

    Returns:
        The numbers as int64 and the positions as float64.

    Raises:
        InputError: if it is no such pair.

    Example:
        >>> atom_arrays(([8.0, 1.0], [[0, 0, 0], [0, 0, 1]]), "OH")[0]
        array([8, 1])
    """
    try:
        given_numbers, given_positions = molecule
    except (TypeError, ValueError):
        raise InputError(
            f"{what} must be a pair of numbers (n,) and positions (n, 3), not {molecule!r:.60}"
        ) from None
    numbers, positions = _numeric(given_numbers), _numeric(given_positions)
    with np.errstate(invalid="ignore"):
        whole = None if numbers is None else numbers.astype(np.int64, copy=False)
    if whole is None or not (whole == numbers).all():
        raise InputError(
            f"{what}: numbers must be atomic numbers such as [8, 1, 1], not {given_numbers!r:.60}"
        )
    if positions is None:
        raise InputError(
            f"{what}: positions must be three numbers for each atom, not {given_positions!r:.60}"
        )
    if whole.ndim != 1 or positions.shape != (len(whole), 3):
        raise InputError(
            f"{what}: numbers must be (n,) and positions (n, 3), not {whole.shape} and "
            f"{positions.shape}"
        )
    return whole, positions.astype(np.float64, copy=False)


def _numeric(values: object) -> np.ndarray | None:
    """Return an array of real numbers; None for what is ragged, or has others than numbers."""
    with suppress(TypeError, ValueError):
        array = np.asarray(values)
        if array.dtype.kind in "iuf":
            return array
    return None


def _tensor(array: np.ndarray) -> Tensor:
    """Convert an array: integers become int64, other types are kept."""
    integral = np.issubdtype(array.dtype, np.integer)
    return torch.from_numpy(array.astype(np.int64) if integral else np.array(array))
