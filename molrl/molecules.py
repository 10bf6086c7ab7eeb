"""Many molecules as flat tensors, and how they come from and go to other libraries and files."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from molrl.bags import Bag
from molrl.batches import FlatBatch, per_molecule
from molrl.errors import InputError
from molrl.neighbors import Neighbors, find_neighbors

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MIN_DISTANCE = 0.05  # Å; two atoms closer than this are in one place


def _lowest_spin(batch: FlatBatch) -> Tensor:
    """``(n_molecules,)`` int64: the lowest multiplicity that the electrons allow."""
    charge: Tensor = batch.charge  # type: ignore[attr-defined]  # of the batch below
    return (batch.sum_atoms(batch.numbers) - charge) % 2 + 1


@dataclass(frozen=True)
class MoleculeBatch(FlatBatch):
    """Many molecules or crystals, flat: the one state of energy models, generators and evaluator.

    Attributes:
        numbers: ``(n_atoms_total,)`` int64, atomic numbers, molecule after molecule.
        positions: ``(n_atoms_total, 3)`` floating, Å.
        n_atoms: ``(n_molecules,)`` int64; an empty canvas is a molecule of 0 atoms.
        charge: ``(n_molecules,)`` int64, total charge in e; 0 unless given.
        spin: ``(n_molecules,)`` int64, multiplicity 2S + 1; unless given the lowest that the
            number of electrons allows (1 or 2).
        cell: ``(n_molecules, 3, 3)`` of the positions' type, Å, rows are cell vectors; 0 for
            molecules.
        pbc: ``(n_molecules, 3)`` bool, along which cell vectors the structure is repeated.

    Raises:
        InputError: if the shapes do not belong together.

    Example:
        >>> batch = MoleculeBatch.from_ase(ase.build.molecule("H2O"))
        >>> batch.n_atoms, batch.spin
        (tensor([3]), tensor([1]))
    """

    charge: Tensor = per_molecule(fill=lambda batch: torch.zeros_like(batch.n_atoms))
    spin: Tensor = per_molecule(fill=_lowest_spin)
    cell: Tensor = per_molecule((3, 3), lambda batch: batch.positions.new_zeros(len(batch), 3, 3))
    pbc: Tensor = per_molecule((3,), lambda batch: batch.n_atoms.new_zeros(len(batch), 3).bool())

    @cached_property
    def is_periodic(self) -> bool:
        """Whether any of them is repeated along a cell vector."""
        return bool(self.pbc.any())

    @cached_property
    def _neighbor_lists(self) -> dict[float, Neighbors]:
        return {}

    def neighbors(self, cutoff: float) -> Neighbors:
        """Return the pairs of atoms closer than the cutoff in Å; listed once for each cutoff."""
        if cutoff not in self._neighbor_lists:
            self._neighbor_lists[cutoff] = find_neighbors(
                self.positions, self.n_atoms, cutoff, self.cell, self.pbc
            )
        return self._neighbor_lists[cutoff]

    def part(self, molecules: slice) -> Self:
        """Return consecutive molecules with the neighbours that are listed already; all: itself."""
        if molecules.indices(len(self)) == (0, len(self), 1):
            return self
        part = self[molecules]
        for cutoff, neighbors in self._neighbor_lists.items():
            part._neighbor_lists[cutoff] = neighbors.take(molecules, self.starts)
        return part

    def distances(self, neighbors: Neighbors) -> Tensor:
        """Return the distances ``(n_pairs,)`` Å between the atoms of each pair."""
        vectors = self.positions[neighbors.pairs[1]] - self.positions[neighbors.pairs[0]]
        shifts = neighbors.shifts(self.cell)
        lengths: Tensor = (vectors if shifts is None else vectors + shifts).norm(dim=-1)
        return lengths

    def charged(self, charge: Sequence[int] | Tensor) -> Self:
        """The same molecules with these charges, each of the lowest spin that allows."""
        charges = torch.as_tensor(charge, dtype=torch.int64, device=self.device)
        return replace(self, charge=charges, spin=None)  # type: ignore[arg-type]  # filled in anew

    def require_molecules(self, what: str) -> Self:
        """Return the batch itself, if nothing in it is periodic.

        Args:
            what: names who knows no cells, as the subject of the message.

        Raises:
            InputError: if a structure is periodic.
        """
        if self.is_periodic:
            first = int(self.pbc.any(-1).nonzero()[0])
            raise InputError(
                f"molecule {first} is periodic, and {what} takes molecules only; for a molecule in "
                "a box set its pbc to False"
            )
        return self

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

    def arrays(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """``numbers (n,)`` int64 and ``positions (n, 3)`` float64 of each molecule, in NumPy."""
        numbers = self.numbers.cpu().numpy()
        positions = self.positions.detach().cpu().double().numpy()
        ends = np.cumsum(self.n_atoms.cpu().numpy())
        pairs = zip(np.split(numbers, ends), np.split(positions, ends), strict=True)
        return list(pairs)[:-1]

    @classmethod
    def from_ase(cls, atoms: Atoms | Iterable[Atoms]) -> Self:
        """From ASE, with cells; ``info["charge"]`` and ``info["spin"]`` (multiplicity) are kept.

        Raises:
            InputError: if one of them is no number that the molecule can have, a cell vector that
                the structure is repeated along is zero, or what is given is something else.
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
            repeated = np.asarray(image.cell)[image.pbc]
            if np.linalg.matrix_rank(repeated) < len(repeated):
                raise InputError(
                    f"molecule {i} is periodic along cell vectors that span no volume: "
                    f"{np.asarray(image.cell).tolist()}"
                )
        batch = cls.from_arrays((image.numbers, image.positions) for image in images)
        if images:
            cells = np.array([np.asarray(image.cell) for image in images])
            pbc = np.array([image.pbc for image in images])
            batch = replace(batch, cell=torch.from_numpy(cells), pbc=torch.from_numpy(pbc))
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
        """To ASE, with cells; a charge or a spin that is not the default goes to ``info``."""
        lowest = _lowest_spin(self)
        cells, pbc = self.cell.cpu().double().numpy(), self.pbc.cpu().numpy()
        images = []
        for i, (numbers, positions) in enumerate(self.arrays()):
            info = {"charge": int(self.charge[i])} if self.charge[i] else {}
            if self.spin[i] != lowest[i]:
                info["spin"] = int(self.spin[i])
            images.append(Atoms(numbers, positions, cell=cells[i], pbc=pbc[i], info=info))
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

        Raises:
            InputError: if one is periodic.
        """
        from rdkit import Chem
        from rdkit.Geometry import Point3D

        mols = []
        for numbers, positions in self.require_molecules("RDKit").arrays():
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

    def check(self, elements: Iterable[int] | None = None, cutoff: float = MIN_DISTANCE) -> Self:
        """Return the batch itself, if a model can work on it.

        Args:
            elements: the atomic numbers that are known; all, if None.
            cutoff: Å, of the pairs that are searched for two atoms in one place: the one that
                they will be wanted for (:meth:`neighbors`), so that they are listed once.

        Raises:
            InputError: if a coordinate is not finite, two atoms are in one place, or an element
                is not known; the molecule is named by its index.
        """
        from ase.data import chemical_symbols

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
        neighbors = self.neighbors(max(cutoff, MIN_DISTANCE))
        near = self.distances(neighbors) < MIN_DISTANCE
        if near.any():
            where = int(self.molecule[neighbors.pairs[0, near][0]])
            raise InputError(f"molecule {where} has two atoms in one place")
        return self


def _whole(value: object, what: str, i: int) -> int:
    """A whole number from a file; no other is one silently."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if abs(number) < 1_000_000:
            return number
    raise InputError(f"molecule {i} has the {what} {str(value)[:40]!r}, which is no whole number")
