"""Batches of molecules or crystals, and their conversion from and to ASE, RDKit and NumPy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from molrl.bags import Bag
from molrl.batches import FlatBatch, atom_arrays, per_molecule
from molrl.errors import InputError
from molrl.neighbors import Neighbors, find_neighbors
from molrl.reading.charges import check_states, states_of_ase

if TYPE_CHECKING:
    from rdkit.Chem import Mol

MIN_WIDTH = 0.5  # Å, of a periodic cell
MAX_COORDINATE = 1e7  # Å; in a slab that is higher, the search for neighbours takes too long
MIN_DISTANCE = 0.05  # Å; two atoms closer than this count as being in one place


def _lowest_spin(batch: FlatBatch) -> Tensor:
    """Return ``(n_molecules,)`` int64, the lowest multiplicity for each number of electrons."""
    charge: Tensor = batch.charge  # type: ignore[attr-defined]  # a field of MoleculeBatch
    return (batch.sum_atoms(batch.numbers) - charge) % 2 + 1


@dataclass(frozen=True, repr=False)
class MoleculeBatch(FlatBatch):
    """Many molecules or crystals: what energy models, generators and the evaluator work on.

    Attributes:
        numbers: ``(n_atoms_total,)`` int64, atomic numbers, molecule after molecule.
        positions: ``(n_atoms_total, 3)`` floating, Å.
        n_atoms: ``(n_molecules,)`` int64; an empty canvas is a molecule of 0 atoms.
        charge: ``(n_molecules,)`` int64, total charge in e; 0 unless given.
        spin: ``(n_molecules,)`` int64, multiplicity 2S + 1; unless given, the lowest that the
            number of electrons allows (1 or 2).
        cell: ``(n_molecules, 3, 3)`` of the positions' type, Å, rows are cell vectors; 0 for
            molecules.
        pbc: ``(n_molecules, 3)`` bool, whether the structure is periodic along each cell vector.

    Raises:
        InputError: if the shapes are inconsistent.

    Example:
        >>> from ase.build import molecule
        >>> batch = MoleculeBatch.from_ase([molecule("H2O"), molecule("CH3")])
        >>> batch.n_atoms, batch.spin
        (tensor([3, 4]), tensor([1, 2]))
        >>> batch[1].numbers
        tensor([6, 1, 1, 1])
    """

    charge: Tensor = per_molecule(fill=lambda batch: torch.zeros_like(batch.n_atoms))
    spin: Tensor = per_molecule(fill=_lowest_spin)
    cell: Tensor = per_molecule((3, 3), lambda batch: batch.positions.new_zeros(len(batch), 3, 3))
    pbc: Tensor = per_molecule((3,), lambda batch: batch.n_atoms.new_zeros(len(batch), 3).bool())

    @property
    def is_periodic(self) -> bool:
        """Whether any structure of the batch is periodic."""
        return bool(self.pbc.any())

    @cached_property
    def _neighbor_lists(self) -> dict[tuple[float, int], Neighbors]:
        return {}

    def _neighbor_key(self, cutoff: float) -> tuple[float, int]:
        # A batch is not meant to be changed in place; where one is, its lists are made anew.
        versions = (
            t._version for t in (self.positions, self.cell, self.pbc) if not t.is_inference()
        )
        return cutoff, sum(versions)

    def neighbors(self, cutoff: float) -> Neighbors:
        """Return the neighbour pairs; the lists of the last two cutoffs are cached.

        Where a list of a larger cutoff is cached, it is selected from.

        Args:
            cutoff: Å.
        """
        lists, key = self._neighbor_lists, self._neighbor_key(cutoff)
        if key not in lists:
            larger = [k for k in lists if k[0] > cutoff and k[1] == key[1]]
            if larger:
                wider = lists[larger[0]]
                found = wider.select(self.distances(wider) < cutoff)
            else:
                found = find_neighbors(self.positions, self.n_atoms, cutoff, self.cell, self.pbc)
            if len(lists) > 1:
                del lists[next(iter(lists))]
            lists[key] = found
        return lists[key]

    def part(self, molecules: slice) -> Self:
        """Return consecutive molecules, with the neighbour lists that are cached.

        Args:
            molecules: a slice of step 1; one of all molecules returns the batch itself.
        """
        if molecules.indices(len(self)) == (0, len(self), 1):
            return self
        part = self[molecules]
        for key, neighbors in self._neighbor_lists.items():
            if key == self._neighbor_key(key[0]):
                new_key = part._neighbor_key(key[0])
                part._neighbor_lists[new_key] = neighbors.take(molecules, self.starts)
        return part

    def distances(self, neighbors: Neighbors) -> Tensor:
        """Return the distances between the atoms of each pair.

        Args:
            neighbors: pairs of atoms of this batch.

        Returns:
            ``(n_pairs,)`` of the positions' type, Å.
        """
        first, second = neighbors.pairs
        vectors = self.positions.index_select(0, second) - self.positions.index_select(0, first)
        shifts = neighbors.shifts(self.cell)
        lengths: Tensor = (vectors if shifts is None else vectors + shifts).norm(dim=-1)
        return lengths

    def charged(self, charge: Sequence[int] | Tensor) -> Self:
        """Return the same molecules with other charges, each of the lowest spin it allows.

        Args:
            charge: ``(n_molecules,)`` integers, e.

        Raises:
            InputError: if there is not one whole charge per molecule.
        """
        charges = torch.as_tensor(charge, device=self.device)
        if charges.is_floating_point() and not torch.equal(charges, charges.round()):
            raise InputError(f"charges must be whole numbers, e, not {charge!r:.60}")
        return replace(self, charge=charges.long(), spin=None)  # type: ignore[arg-type]  # None: recomputed

    def with_states(self, charge: Sequence[int], spin: Sequence[int | None]) -> Self:
        """Return the same molecules with other charges and multiplicities.

        Args:
            charge: of each molecule, e.
            spin: multiplicity of each; the lowest that its charge allows, if None.

        Raises:
            InputError: if a molecule does not have the electrons for them.
        """
        batch = self.charged(charge)
        lowest = batch.spin.tolist()
        spins = [low if one is None else one for one, low in zip(spin, lowest, strict=True)]
        return replace(batch, spin=batch.spin.new_tensor(spins)).check_electrons()

    def check_electrons(self) -> Self:
        """Return the batch itself after checking that its charges and multiplicities can be.

        Raises:
            InputError: if a molecule has less than no electrons, or they do not allow its
                multiplicity.
        """
        protons = self.sum_atoms(self.numbers)
        check_states(*(values.cpu().numpy() for values in (protons, self.charge, self.spin)))
        return self

    def in_cells(self, cell: np.ndarray, pbc: np.ndarray) -> Self:
        """Return the same structures in other cells.

        Args:
            cell: ``(n_molecules, 3, 3)`` Å, rows are cell vectors.
            pbc: ``(n_molecules, 3)`` bool.

        Raises:
            InputError: if the periodic vectors of a cell are linearly dependent.
        """
        for i in np.flatnonzero(pbc.any(-1) | ~np.isfinite(cell).all((1, 2))).tolist():
            _check_cell(cell[i], pbc[i], i)
        cells, periodic = torch.from_numpy(cell).to(self.positions), torch.from_numpy(pbc)
        return replace(self, cell=cells, pbc=periodic.to(self.device))

    def require_molecules(self, what: str) -> Self:
        """Return the batch itself after checking that no structure is periodic.

        Args:
            what: what cannot take periodic structures, for the error message ("RDKit").

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
        """Build a batch from NumPy arrays.

        Args:
            molecules: for each molecule, ``numbers (n,)`` and ``positions (n, 3)`` in Å.
            dtype: floating type of the positions.

        Raises:
            InputError: if an array has another shape, the numbers are not whole, or the positions
                are no numbers.
        """
        arrays = [atom_arrays(each, f"molecule {i}") for i, each in enumerate(molecules)]
        numbers, positions = zip(*arrays, strict=True) if arrays else ((), ())
        empty = [np.zeros((0,), np.int64)], [np.zeros((0, 3))]
        return cls(
            numbers=torch.from_numpy(np.concatenate(numbers or empty[0])),
            positions=torch.from_numpy(np.concatenate(positions or empty[1])).to(dtype),
            n_atoms=torch.tensor([len(z) for z in numbers], dtype=torch.int64),
        )

    def arrays(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return ``numbers (n,)`` int64 and ``positions (n, 3)`` float64, Å, of each molecule."""
        numbers = self.numbers.cpu().numpy()
        positions = self.positions.detach().cpu().double().numpy()
        ends = np.cumsum(self.n_atoms.cpu().numpy())
        pairs = zip(np.split(numbers, ends), np.split(positions, ends), strict=True)
        return list(pairs)[:-1]

    @classmethod
    def from_ase(cls, atoms: Atoms | Iterable[Atoms]) -> Self:
        """Build a batch from ASE atoms, with cells, charges and multiplicities.

        Args:
            atoms: one structure or several. ``info["charge"]`` (e) and ``info["spin"]``
                (multiplicity 2S + 1) are read where they are set, as are the spellings that
                :func:`molrl.read` knows, and of molecules the sums of the initial charges and
                magnetic moments.

        Raises:
            InputError: if an item is not an ASE ``Atoms``, charges or multiplicities contradict
                each other or are impossible for the molecule, or the periodic cell vectors are
                linearly dependent.
        """
        try:
            images: list[Atoms] = [atoms] if isinstance(atoms, Atoms | str) else list(atoms)
        except TypeError:  # not iterable: refused below by its value
            images = [atoms]
        for image in images:
            if not isinstance(image, Atoms):
                inside = hasattr(image, "molecules")  # of what generates, relaxes or evaluates
                raise InputError(
                    f"molecules must be ASE Atoms or a MoleculeBatch, not {repr(image)[:60]}; "
                    + ("give its .molecules" if inside else "read a file with molrl.read")
                )
        batch = cls.from_arrays((image.numbers, image.positions) for image in images)
        if images:
            cells = np.array([np.asarray(image.cell) for image in images])
            batch = batch.in_cells(cells, np.array([image.pbc for image in images]))
        charges, spins = states_of_ase(images)
        return batch.with_states(charges, spins)

    def to_ase(self) -> list[Atoms]:
        """Return ASE atoms, with cells; ``info`` holds a charge or spin that is not the default."""
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
        """Build a batch from RDKit molecules, with their formal charges and of the lowest spin.

        Args:
            mols: one molecule or several, each with a 3D conformer and explicit hydrogens.

        Raises:
            InputError: if one is none, has no 3D coordinates, lacks hydrogens, or cannot have its
                charge.
        """
        from rdkit.Chem import GetFormalCharge
        from rdkit.Chem import Mol as RDKitMol

        from molrl.reading.hydrogens import missing_hydrogens

        items = [mols] if isinstance(mols, RDKitMol) else list(mols)
        for i, mol in enumerate(items):
            if not isinstance(mol, RDKitMol):  # such as None, what an invalid SMILES gives
                raise InputError(f"molecule {i} must be an RDKit molecule, not {mol!r:.60}")
            if not mol.GetNumConformers() or not mol.GetConformer().Is3D():
                raise InputError(f"molecule {i} has no 3D coordinates; embed it first")
            if missing_hydrogens(mol):
                raise InputError(f"molecule {i} lacks hydrogens; add all of them with coordinates")
        batch = cls.from_arrays(
            (
                np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()]),
                mol.GetConformer().GetPositions(),
            )
            for mol in items
        )
        return batch.charged([GetFormalCharge(mol) for mol in items]).check_electrons()

    def to_rdkit(self) -> "list[Mol]":
        """Return RDKit molecules with atoms and a conformer, without bonds.

        :func:`molrl.chemistry.bonds.perceive_bonds` assigns bonds.

        Raises:
            InputError: if a structure is periodic.
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
        """Return the bag of each molecule; none may be empty."""
        return [Bag(numbers) for numbers, _ in self.arrays()]

    def check(self, elements: Iterable[int] | None = None, cutoff: float = MIN_DISTANCE) -> Self:
        """Return the batch itself after checking that a model can evaluate it.

        Args:
            elements: the atomic numbers that the model knows; all, if None.
            cutoff: Å, of the neighbour list that is searched for two atoms in one place. Pass the
                cutoff of the model, whose neighbour list is then not computed again.

        Raises:
            InputError: if a coordinate is not finite, a periodic cell has no volume, two atoms are
                in one place, a charge or multiplicity is impossible, or an element is unknown; the
                message names the molecule by its index.
        """
        from ase.data import chemical_symbols

        self.check_electrons()
        if self.is_periodic:
            cells, pbc = self.cell.cpu().double().numpy(), self.pbc.cpu().numpy()
            for i in np.flatnonzero(pbc.any(1)).tolist():
                _check_cell(cells[i], pbc[i], i)
        self.check_coordinates(MAX_COORDINATE)
        known = set(range(1, len(chemical_symbols))) if elements is None else set(elements)
        for number in set(self.numbers.tolist()) - known:
            where = int(self.molecule[self.numbers == number][0])
            named = chemical_symbols[number] if 0 < number < len(chemical_symbols) else number
            listed = ", ".join(chemical_symbols[z] for z in sorted(known)[:20])
            more = f" and {len(known) - 20} more" if len(known) > 20 else ""
            raise InputError(f"molecule {where} holds {named}; known are {listed}{more}")
        neighbors = self.neighbors(max(cutoff, MIN_DISTANCE))
        near = self.distances(neighbors) < MIN_DISTANCE
        if near.any():
            pair = neighbors.pairs[:, near][:, 0]
            where = int(self.molecule[pair[0]])
            first, second = sorted((pair - self.starts[where]).tolist())
            raise InputError(
                f"molecule {where} has two atoms in one place, {first} and {second} of it; remove "
                "one"
            )
        return self


def _check_cell(cell: np.ndarray, pbc: np.ndarray, i: int) -> None:
    """Refuse a cell ``(3, 3)`` Å that is not finite, or whose periodic vectors span no volume."""
    periodic = cell[pbc]
    if not np.isfinite(cell).all():
        raise InputError(f"molecule {i} has a cell that is not finite: {cell.tolist()}")
    widths = np.linalg.svd(periodic)[1] if len(periodic) else np.ones(1)
    if widths.min() < MIN_WIDTH:
        raise InputError(
            f"molecule {i} is periodic along cell vectors that are linearly dependent, or shorter "
            f"than {MIN_WIDTH} Å: {cell.tolist()}"
        )
