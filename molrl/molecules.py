"""Many molecules as flat tensors, and how they come from and go to other libraries and files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from molrl.bags import Bag
from molrl.errors import InputError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MIN_DISTANCE = 0.05  # Å; two atoms closer than this are in one place


@dataclass(frozen=True)
class MoleculeBatch:
    """Many molecules, flat: the one state that energy models, generators and the judge speak.

    Attributes:
        numbers: ``(n_atoms_total,)`` int64, atomic numbers, molecule after molecule.
        positions: ``(n_atoms_total, 3)`` floating, Å.
        n_atoms: ``(n_molecules,)`` int64; an empty canvas is a molecule of 0 atoms.
        charge: ``(n_molecules,)`` int64, total charge in e; 0 unless given.
        spin: ``(n_molecules,)`` int64, multiplicity 2S + 1; unless given the lowest that the
            number of electrons allows (1 or 2).

    Raises:
        InputError: if the shapes do not belong together.
    """

    numbers: Tensor
    positions: Tensor
    n_atoms: Tensor
    charge: Tensor = field(default=None)  # type: ignore[assignment]  # filled in below
    spin: Tensor = field(default=None)  # type: ignore[assignment]  # filled in below

    def __post_init__(self) -> None:
        total = len(self.numbers)
        if self.positions.shape != (total, 3):
            raise InputError(f"positions must be ({total}, 3), not {tuple(self.positions.shape)}")
        if int(self.n_atoms.sum()) != total or bool((self.n_atoms < 0).any()):
            raise InputError(f"n_atoms must add up to the {total} atoms there are")
        for name in ("charge", "spin"):
            given = getattr(self, name)
            if given is not None and given.shape != self.n_atoms.shape:
                raise InputError(f"{name} must be ({len(self.n_atoms)},), not {tuple(given.shape)}")
        if self.charge is None:
            object.__setattr__(self, "charge", torch.zeros_like(self.n_atoms))
        if self.spin is None:
            electrons = self.sum_atoms(self.numbers) - self.charge
            object.__setattr__(self, "spin", electrons % 2 + 1)

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

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray | Tensor) -> Self:
        """The chosen molecules, in the order asked for: an int, a slice, indices or a mask."""
        every = torch.arange(len(self), device=self.device)
        if isinstance(index, int | np.integer):
            index = [int(index)]
        if not isinstance(index, slice):
            index = torch.as_tensor(index, device=self.device)
            index = index if len(index) else index.long()
        chosen = every[index]
        n_atoms = self.n_atoms[chosen]
        within = torch.arange(int(n_atoms.sum()), device=self.device)
        within = within - torch.repeat_interleave(n_atoms.cumsum(0) - n_atoms, n_atoms)
        atoms = torch.repeat_interleave(self.starts[chosen], n_atoms) + within
        return replace(
            self,
            numbers=self.numbers[atoms],
            positions=self.positions[atoms],
            n_atoms=n_atoms,
            charge=self.charge[chosen],
            spin=self.spin[chosen],
        )

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """A copy on another device, or with positions of another floating type."""
        return replace(
            self,
            numbers=self.numbers.to(device),
            positions=self.positions.to(device=device, dtype=dtype),
            n_atoms=self.n_atoms.to(device),
            charge=self.charge.to(device),
            spin=self.spin.to(device),
        )

    def charged(self, charge: Sequence[int] | Tensor) -> Self:
        """The same molecules with these charges, each of the lowest spin that allows."""
        charges = torch.as_tensor(charge, dtype=torch.int64, device=self.device)
        return type(self)(self.numbers, self.positions, self.n_atoms, charges)

    @classmethod
    def cat(cls, batches: Sequence[Self]) -> Self:
        """One batch of all the molecules of several."""
        names = ("numbers", "positions", "n_atoms", "charge", "spin")
        return cls(**{name: torch.cat([getattr(b, name) for b in batches]) for name in names})

    @classmethod
    def from_arrays(
        cls, molecules: Iterable[tuple[np.ndarray, np.ndarray]], dtype: torch.dtype = torch.float64
    ) -> Self:
        """From pairs of ``numbers (n,)`` and ``positions (n, 3)`` in Å.

        Raises:
            InputError: if a molecule's arrays are of other shapes.
        """
        pairs = list(molecules)
        numbers = [np.asarray(z, dtype=np.int64) for z, _ in pairs]
        positions = [np.asarray(x, dtype=np.float64) for _, x in pairs]
        for i, (z, x) in enumerate(zip(numbers, positions, strict=True)):
            if z.ndim != 1 or x.shape != (len(z), 3):
                raise InputError(
                    f"molecule {i}: numbers must be (n,) and positions (n, 3), not {z.shape} "
                    f"and {x.shape}"
                )
        empty = [np.zeros((0,), np.int64)], [np.zeros((0, 3))]
        return cls(
            numbers=torch.from_numpy(np.concatenate(numbers or empty[0])),
            positions=torch.from_numpy(np.concatenate(positions or empty[1])).to(dtype),
            n_atoms=torch.tensor([len(z) for z in numbers], dtype=torch.int64),
        )

    @classmethod
    def from_padded(cls, numbers: Tensor, positions: Tensor) -> Self:
        """From ``numbers (n_molecules, n_slots)``, 0 = empty, and ``positions (..., 3)``."""
        filled = numbers > 0
        return cls(
            numbers=numbers[filled].long(), positions=positions[filled], n_atoms=filled.sum(-1)
        )

    def arrays(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """``numbers (n,)`` int64 and ``positions (n, 3)`` float64 of each molecule, in NumPy."""
        numbers = self.numbers.cpu().numpy()
        positions = self.positions.detach().cpu().double().numpy()
        ends = np.cumsum(self.n_atoms.cpu().numpy())
        pairs = zip(np.split(numbers, ends), np.split(positions, ends), strict=True)
        return list(pairs)[:-1]

    @classmethod
    def from_ase(cls, atoms: Atoms | Iterable[Atoms]) -> Self:
        """From ASE; ``info["charge"]`` and ``info["spin"]`` (multiplicity) are taken over.

        Raises:
            InputError: if one of them is no number that the molecule can have, one is periodic, or
                what is given is something else.
        """
        try:
            images: list[Atoms] = [atoms] if isinstance(atoms, Atoms | str) else list(atoms)
        except TypeError:  # it is no sequence, nor an iterator
            images = [atoms]
        for i, image in enumerate(images):
            if not isinstance(image, Atoms):
                raise InputError(
                    f"molecules are ASE atoms or a MoleculeBatch, not {repr(image)[:60]}; "
                    "molrl.files.read_molecules reads a file of them"
                )
            if image.pbc.any():
                raise InputError(
                    f"molecule {i} is periodic, and cells are not known; for a molecule in a box "
                    "set its pbc to False"
                )
        batch = cls.from_arrays((image.numbers, image.positions) for image in images)
        infos = [image.info for image in images]
        charge = [_whole(info.get("charge", 0), "charge", i) for i, info in enumerate(infos)]
        batch = batch.charged(charge)
        spin = [
            _whole(info.get("spin", lowest), "spin", i)
            for i, (info, lowest) in enumerate(zip(infos, batch.spin.tolist(), strict=True))
        ]
        electrons = batch.sum_atoms(batch.numbers) - batch.charge
        for i, (n, multiplicity) in enumerate(zip(electrons.tolist(), spin, strict=True)):
            if n < 0 or not 1 <= multiplicity <= n + 1 or (n - multiplicity) % 2 == 0:
                raise InputError(
                    f"molecule {i} cannot have charge {charge[i]} and multiplicity {multiplicity}"
                )
        return replace(batch, spin=torch.tensor(spin, dtype=torch.int64))

    def to_ase(self) -> list[Atoms]:
        """To ASE; a charge or a spin that is not the default goes to ``info``."""
        lowest = self.charged(self.charge).spin
        images = []
        for i, (numbers, positions) in enumerate(self.arrays()):
            info = {"charge": int(self.charge[i])} if self.charge[i] else {}
            if self.spin[i] != lowest[i]:
                info["spin"] = int(self.spin[i])
            images.append(Atoms(numbers=numbers, positions=positions, info=info))
        return images

    @classmethod
    def from_rdkit(cls, mols: "Mol | Iterable[Mol]") -> Self:
        """From RDKit molecules with a conformer and explicit hydrogens.

        Raises:
            InputError: if a molecule has no 3D coordinates.
        """
        from rdkit.Chem import GetFormalCharge
        from rdkit.Chem import Mol as RDKitMol

        items = [mols] if isinstance(mols, RDKitMol) else list(mols)
        for i, mol in enumerate(items):
            if not mol.GetNumConformers() or not mol.GetConformer().Is3D():
                raise InputError(f"molecule {i} has no 3D coordinates; embed it first")
        batch = cls.from_arrays(
            (
                np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]),
                mol.GetConformer().GetPositions(),
            )
            for mol in items
        )
        return batch.charged([GetFormalCharge(mol) for mol in items])

    def to_rdkit(self) -> "list[Mol]":
        """To RDKit molecules with atoms and a conformer but no bonds.

        Bonds are a matter of perception: :func:`molrl.chemistry.bonds.perceive_bonds`.
        """
        from rdkit import Chem
        from rdkit.Geometry import Point3D

        mols = []
        for numbers, positions in self.arrays():
            mol = Chem.RWMol()
            conformer = Chem.Conformer(len(numbers))
            for i, (number, xyz) in enumerate(zip(numbers, positions, strict=True)):
                atom = Chem.Atom(int(number))
                atom.SetNoImplicit(True)
                mol.AddAtom(atom)
                conformer.SetAtomPosition(i, Point3D(*map(float, xyz)))
            mol.AddConformer(conformer)
            mols.append(mol.GetMol())
        return mols

    def bags(self) -> list[Bag]:
        """The bag of each molecule; every molecule must have an atom."""
        return [Bag(numbers) for numbers, _ in self.arrays()]

    def check(self, elements: Iterable[int] | None = None) -> Self:
        """The batch itself, if a model can work on it.

        Args:
            elements: the atomic numbers that are known; all, if None.

        Raises:
            InputError: if a coordinate is not finite, two atoms are in one place, or an element
                is not known; the molecule is named by its index.
        """
        from ase.data import chemical_symbols

        from molrl.neighbors import neighbor_pairs

        bad = ~torch.isfinite(self.positions).all(-1)
        if bad.any():
            raise InputError(
                f"molecule {int(self.molecule[bad][0])} has a coordinate that is no finite number"
            )
        known = set(range(1, len(chemical_symbols))) if elements is None else set(elements)
        for number in set(self.numbers.tolist()) - known:
            where = int(self.molecule[self.numbers == number][0])
            named = chemical_symbols[number] if 0 < number < len(chemical_symbols) else number
            raise InputError(
                f"molecule {where} holds {named}; known are "
                + ", ".join(chemical_symbols[z] for z in sorted(known)[:20])
            )
        pairs = neighbor_pairs(self.positions, self.n_atoms, MIN_DISTANCE)
        if pairs.shape[1]:
            raise InputError(
                f"molecule {int(self.molecule[pairs[0, 0]])} has two atoms in one place"
            )
        return self


def _whole(value: object, what: str, i: int) -> int:
    """A whole number from a file; no other is one silently."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if abs(number) < 1_000_000:
            return number
    raise InputError(f"molecule {i} has the {what} {str(value)[:40]!r}, which is no whole number")
