"""The isomers that have been found, each once, and what they must contain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from torch import Tensor

from molrl.chemistry.identity import parse
from molrl.generators.search.minima import Minima
from molrl.molecules import MoleculeBatch


@dataclass(frozen=True)
class Constraints:
    """What isomers must contain and must not.

    Args:
        contains: SMARTS, all of which match.
        excludes: SMARTS, none of which matches.
        rings: number of rings, bonds above those of a tree (5 in cubane); None: any.

    Example:
        >>> Constraints(contains=("C=O",), rings=0).allow("CC(C)=O")
        True
    """

    contains: Sequence[str] = ()
    excludes: Sequence[str] = ()
    rings: int | None = None

    def allow(self, smiles: str) -> bool:
        """Return whether a molecule keeps the constraints.

        Args:
            smiles: its identity.
        """
        if not self.contains and not self.excludes and self.rings is None:
            return True
        mol = parse(smiles)
        if mol is None:
            return False
        n_fragments = len(Chem.GetMolFrags(mol))
        if self.rings not in (None, mol.GetNumBonds() - mol.GetNumAtoms() + n_fragments):
            return False

        def has(pattern: str) -> bool:
            # hydrogens of the pattern become counts, as those of the molecule are
            query = Chem.MergeQueryHs(Chem.MolFromSmarts(pattern))
            return bool(mol.HasSubstructMatch(query))

        return all(map(has, self.contains)) and not any(map(has, self.excludes))


@dataclass
class FoundIsomer:
    """A molecule that was found.

    Attributes:
        smiles: its identity.
        numbers: ``(n,)`` int64, atomic numbers.
        positions: ``(n, 3)`` float64, Å, its lowest minimum.
        energy: eV, of the energy model at this minimum.
        method: the generator that found it first.
        energy_calls: of all generators together, when it was found.
        found: energy calls of each generator by itself, when it found the molecule.
    """

    smiles: str
    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    energy: float
    method: str
    energy_calls: int
    found: dict[str, int] = field(default_factory=dict)


class Isomers:
    """The isomers that have been found, by identity; of each the lowest minimum is kept.

    Args:
        constraints: what they must contain; the others are counted.

    Attributes:
        by_smiles: the isomers.
        excluded: identities of molecules that do not keep the constraints.
    """

    def __init__(self, constraints: Constraints) -> None:
        self._constraints = constraints
        self.by_smiles: dict[str, FoundIsomer] = {}
        self.excluded: set[str] = set()

    def __len__(self) -> int:
        return len(self.by_smiles)

    @property
    def lowest(self) -> FoundIsomer | None:
        """The isomer with the lowest energy; None before the first."""
        return min(self.by_smiles.values(), key=lambda isomer: isomer.energy, default=None)

    def wants(self, smiles: str) -> bool:
        """Return whether a molecule is new, and keeps the constraints.

        Args:
            smiles: its identity.
        """
        known = smiles in self.by_smiles or smiles in self.excluded
        return not known and self._constraints.allow(smiles)

    def add(self, minima: Minima, method: str, own_calls: int, all_calls: int) -> None:
        """Add what a generator has found.

        Args:
            minima: the molecules among other structures.
            method: name of the generator.
            own_calls: energy calls of the generator so far.
            all_calls: energy calls of all generators so far.
        """
        arrays = minima.molecules.arrays()
        for i in minima.found:
            smiles, energy = minima.smiles[i] or "", float(minima.energy[i])
            if not self._allows(smiles):
                continue
            numbers, positions = arrays[i]
            known = self.by_smiles.get(smiles)
            if known is None:
                known = FoundIsomer(smiles, numbers, positions, energy, method, all_calls)
                self.by_smiles[smiles] = known
            elif energy < known.energy:
                known.numbers, known.positions, known.energy = numbers, positions, energy
            known.found.setdefault(method, own_calls)

    def _allows(self, smiles: str) -> bool:
        if smiles in self.by_smiles:
            return True
        if smiles not in self.excluded and self._constraints.allow(smiles):
            return True
        self.excluded.add(smiles)
        return False

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors of the state: the atoms of all isomers."""
        batch = batch_of(self.by_smiles.values())
        return {"numbers": batch.numbers, "positions": batch.positions}

    def state(self) -> dict[str, Any]:
        """Return the rest of the state, as plain JSON data."""
        rows = [
            (each.smiles, each.energy, each.method, each.energy_calls, each.found)
            for each in self.by_smiles.values()
        ]
        return {"isomers": rows, "excluded": sorted(self.excluded)}

    def restore(self, state: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore a state.

        Args:
            state: of :meth:`state`.
            tensors: of :meth:`tensors`.
        """
        rows = state["isomers"]
        numbers = tensors["numbers"].numpy().reshape(len(rows), -1) if rows else ()
        positions = tensors["positions"].numpy().reshape(len(rows), -1, 3) if rows else ()
        self.by_smiles = {
            smiles: FoundIsomer(smiles, z, x, energy, method, calls, dict(found))
            for (smiles, energy, method, calls, found), z, x in zip(
                rows, numbers, positions, strict=True
            )
        }
        self.excluded = set(state["excluded"])


def batch_of(isomers: Iterable[FoundIsomer]) -> MoleculeBatch:
    """Return the lowest minima of isomers as a batch of neutral molecules."""
    return MoleculeBatch.from_arrays((each.numbers, each.positions) for each in isomers)
