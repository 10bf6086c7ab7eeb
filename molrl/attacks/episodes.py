"""A beam search for crowded episodes: canvases that a model rewards more than any molecule.

An agent that is rewarded by a model may place all hydrogens of a bag about one atom. A crowd costs
more at first than a molecule does, so that only a search that allows nothing else finds what is
behind it.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from ase.data import covalent_radii

from molrl.bags import Bag
from molrl.chemistry.monovalent import MONOVALENT
from molrl.energy.interface import EnergyModel
from molrl.molecules import MoleculeBatch

_BEAM, _OTHERS = 16, 8  # canvases kept: those of highest return, and others
_PROPOSALS, _VARIANTS = 8, 5  # placements tried on each; changed ones of those that are kept
_REFINED = (0.1, 0.03)  # Å, by which they are changed
_NEAREST, _FURTHEST = 0.65, 1.3  # of the covalent radii's sum, of new atoms from their focus
_CROWDED = (0.75, 0.85, 0.7, 1.0, 0.8, 1.2)  # the same, furthest, of crowds in one search each
_REWARDS = (-5.0, 24.0)  # eV, of one atom; the default rules of the environments


class Canvases(Protocol):
    """B canvases that hold the same elements, in the same order."""

    def place(
        self, parent: np.ndarray, number: int, placements: np.ndarray
    ) -> tuple[Self, np.ndarray, np.ndarray]:
        """Place one atom on copies of the canvases.

        Args:
            parent: ``(n,)`` int64, canvas of each placement.
            number: atomic number of the atom.
            placements: ``(n, 4)`` float32, index of the focal atom, and the displacement from it in
                Å; an atom on an empty canvas is at the origin.

        Returns:
            n canvases; ``(n,)`` eV, the reward of each; and ``(n,)`` bool, whether the rules
            allow it.
        """
        ...

    def __getitem__(self, chosen: np.ndarray) -> Self:
        """Return some of the canvases."""
        ...


C = TypeVar("C", bound=Canvases)


@dataclass(frozen=True)
class GuardedCanvases:
    """Canvases behind a clash guard, rewarded by the energy that each atom sets free.

    Attributes:
        model: whose energy rewards.
        guard: smallest distance as a share of the sum of covalent radii.
        numbers: ``(n_atoms,)`` atomic numbers, in the order of placing.
        positions: ``(B, n_atoms, 3)`` float32, Å.
        energy: ``(B,)`` eV, relative to isolated atoms.

    Example:
        >>> from molrl.energy import load_energy
        >>> empty = GuardedCanvases.empty(load_energy("mace-small"), guard=0.65)
        >>> one, reward, allowed = empty.place(np.zeros(1, int), 8, np.zeros((1, 4)))
        >>> one.numbers, allowed
        (array([8]), array([ True]))
    """

    model: EnergyModel
    guard: float
    numbers: np.ndarray
    positions: np.ndarray
    energy: np.ndarray

    @classmethod
    def empty(cls, model: EnergyModel, guard: float) -> "GuardedCanvases":
        """Return one canvas without atoms."""
        return cls(
            model, guard, np.zeros(0, np.int64), np.zeros((1, 0, 3), np.float32), np.zeros(1)
        )

    def __getitem__(self, chosen: np.ndarray) -> "GuardedCanvases":
        """Return some of the canvases, by their indices."""
        return GuardedCanvases(
            self.model, self.guard, self.numbers, self.positions[chosen], self.energy[chosen]
        )

    def place(
        self, parent: np.ndarray, number: int, placements: np.ndarray
    ) -> tuple["GuardedCanvases", np.ndarray, np.ndarray]:
        """Place one atom on copies of the canvases; see :meth:`Canvases.place`."""
        before = self.positions[parent]
        new = np.zeros((len(parent), 3), np.float32)
        if len(self.numbers):
            focus = placements[:, 0].astype(np.int64)
            new = before[np.arange(len(parent)), focus] + placements[:, 1:]
        gaps = np.linalg.norm(new[:, None] - before, axis=-1)
        radii = covalent_radii[self.numbers] + covalent_radii[number]
        allowed = (gaps >= self.guard * radii).all(-1)
        positions = np.concatenate([before, new[:, None]], axis=1).astype(np.float32)
        numbers = np.append(self.numbers, number)
        energy = np.full(len(parent), np.nan)
        energy[allowed] = self._energy(numbers, positions[allowed])
        reward = self.energy[parent] - energy
        allowed &= (reward >= _REWARDS[0]) & (reward <= _REWARDS[1])  # and so it is a number
        canvases = GuardedCanvases(self.model, self.guard, numbers, positions, energy)
        return canvases, reward, allowed

    def _energy(self, numbers: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """``(n,)`` eV, relative to isolated atoms."""
        if not len(positions):
            return np.zeros(0)
        atoms = torch.from_numpy(numbers).expand(len(positions), -1)
        molecules = MoleculeBatch.from_padded(atoms, torch.from_numpy(positions).double())
        energy = self.model.evaluate(molecules).energy.cpu()
        found: np.ndarray = (energy - self.model.isolated_energy(molecules).cpu()).numpy()
        return found


@dataclass(frozen=True)
class Beam(Generic[C]):
    """Canvases of one bag on which the same elements were placed, of highest return first.

    Attributes:
        canvases: B canvases.
        numbers: atomic numbers, in the order of placing.
        total: ``(B,)`` eV, rewards so far.
        placements: ``(B, n_atoms, 4)`` float32, as for :meth:`Canvases.place`.
    """

    canvases: C
    numbers: tuple[int, ...]
    total: np.ndarray
    placements: np.ndarray

    def placed(self, number: int, furthest: float, crowd: bool, rng: np.random.Generator) -> Self:
        """Place one atom on each canvas in many ways, and refine the best.

        Args:
            number: its atomic number.
            furthest: largest distance from the focus, as a share of the covalent radii's sum.
            crowd: whether the first atom is the only focus.
            rng: the random numbers.
        """
        proposals = self._propose(number, furthest, crowd, rng)
        parent = np.repeat(np.arange(len(self.total)), proposals.shape[1])
        best, parent = self._extended(number, parent, proposals.reshape(-1, 4), rng)
        for width in _REFINED:
            shift = width * rng.normal(size=(len(parent), _VARIANTS, 4))
            shift[..., 0], shift[:, 0] = 0, 0  # the same focus; one as it was
            near = (best.placements[:, -1, None] + shift).reshape(-1, 4)
            best, parent = self._extended(number, np.repeat(parent, _VARIANTS), near, rng)
        return best

    def _propose(
        self, number: int, furthest: float, crowd: bool, rng: np.random.Generator
    ) -> np.ndarray:
        """Random placements ``(B, n, 4)`` near atoms that are not monovalent."""
        if not self.numbers:
            return np.zeros((1, 1, 4))
        shape = (len(self.total), _PROPOSALS)
        present = np.array(self.numbers)
        near = np.flatnonzero(~MONOVALENT[present])
        focus = rng.choice(near[:1] if crowd else near, shape)
        radii = covalent_radii[number] + covalent_radii[present[focus]]
        way = rng.normal(size=(*shape, 3))
        reach = radii * rng.uniform(_NEAREST, furthest, size=shape)
        way *= (reach / np.linalg.norm(way, axis=-1))[..., None]
        return np.concatenate([focus[..., None], way], axis=-1)

    def _extended(
        self, number: int, parent: np.ndarray, placements: np.ndarray, rng: np.random.Generator
    ) -> tuple[Self, np.ndarray]:
        """The canvases of highest return after placements, some others, and their parents.

        Others are kept because the best ones may all end at the next atom.
        """
        placements = placements.astype(np.float32)
        canvases, reward, allowed = self.canvases.place(parent, number, placements)
        total = self.total[parent] + reward
        kept = np.flatnonzero(allowed)
        kept = kept[np.argsort(-total[kept])]
        kept = np.concatenate([kept[:_BEAM], rng.permutation(kept[_BEAM:])[:_OTHERS]])
        done = np.concatenate([self.placements[parent[kept]], placements[kept, None]], axis=1)
        beam = type(self)(canvases[kept], (*self.numbers, number), total[kept], done)
        return beam, parent[kept]


def search_episodes(empty: C, bag: Bag, number: int, rng: np.random.Generator) -> Beam[C]:
    """Crowd an atom with others as the rules allow, and keep the canvases of highest return.

    Monovalent atoms come first, all on one atom; those that find no room, and the other atoms, are
    placed on any atom that is not monovalent.

    Args:
        empty: one empty canvas.
        bag: the atoms; at least one is not monovalent.
        number: of the search; each has another central element, or reach of the crowd.
        rng: the random numbers.

    Returns:
        Canvases with all atoms of the bag; none if the search ended before.

    Example:
        >>> from molrl.energy import load_energy
        >>> empty = GuardedCanvases.empty(load_energy("mace-small"), guard=0.65)
        >>> beam = search_episodes(empty, Bag("CH4"), 0, np.random.default_rng(0))
        >>> beam.canvases.positions.shape[1:]
        (5, 3)
    """
    atoms = np.array(bag.numbers)
    centres = np.unique(atoms[~MONOVALENT[atoms]])
    centre = int(centres[number % len(centres)])
    ligands = rng.permutation(atoms[MONOVALENT[atoms]])
    others = list(atoms[~MONOVALENT[atoms]])
    others.remove(centre)
    rest = [int(one) for one in rng.permutation(others)]
    reach = _CROWDED[number // len(centres) % len(_CROWDED)]
    beam = Beam(empty, (), np.zeros(1), np.zeros((1, 0, 4), np.float32))
    beam = beam.placed(centre, _FURTHEST, True, rng)
    for ligand in ligands.tolist():
        crowd = beam.placed(ligand, reach, True, rng)
        if len(crowd.total):
            beam = crowd
        else:
            rest.append(ligand)
    for element in rest:
        if not len(beam.total):
            break
        beam = beam.placed(element, _FURTHEST, False, rng)
    return beam
