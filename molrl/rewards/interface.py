"""What a reward term sees, and what it must be."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from molrl.energy import EnergyModel
from molrl.energy.relaxation import RelaxationResult, relax
from molrl.molecules import MoleculeBatch

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """Atoms that were placed and accepted, with the canvases they are on.

    Attributes:
        molecules: n canvases, the new atom the last of each.
        n_fixed: ``(n,)`` int64, atoms that stood there before the episode; the first of each.
        shape: ``(n, P, 3)`` float32, Å, the points to fill; P is 0 where there is no shape.
        binding: ``(n,)`` float64, eV, E(canvas before) + E(atom) - E(canvas).
        energy: ``(n,)`` float64, eV, of the canvas.
        uncertainty: ``(n,)`` float64, the model's, of the canvas; NaN where it was not asked for.
        properties: name of each property that a term wants to one array for each canvas, under
            ASE's names and in its units ("dipole": ``(3,)`` e Å).
        model: what they are the energies of.
    """

    molecules: MoleculeBatch
    n_fixed: NDArray[np.int64]
    shape: NDArray[np.float32]
    binding: Floats
    energy: Floats
    uncertainty: Floats
    properties: dict[str, list[Floats]]
    model: EnergyModel

    def __len__(self) -> int:
        return len(self.binding)

    def __getitem__(self, rows: NDArray[np.intp]) -> "Placed":
        """Some of them."""
        return Placed(
            self.molecules[rows],
            self.n_fixed[rows],
            self.shape[rows],
            self.binding[rows],
            self.energy[rows],
            self.uncertainty[rows],
            {name: [values[i] for i in rows] for name, values in self.properties.items()},
            self.model,
        )

    @cached_property
    def new(self) -> Floats:
        """``(n, 3)`` Å: where the new atoms are."""
        last = self.molecules.starts + self.molecules.n_atoms - 1
        return self.molecules.positions[last].double().numpy()

    @cached_property
    def relaxed(self) -> RelaxationResult:
        """The canvases relaxed, all atoms free; done once for all terms that ask."""
        return relax(self.molecules, self.model)


class RewardTerm(Protocol):
    """One thing that is paid for.

    Two attributes are optional. ``wants``, a tuple of names, asks for properties of the energy
    model, which come with the one evaluation of a step and stand in :attr:`Placed.properties`.
    ``check_bag(bag)`` raises an :class:`~molrl.errors.InputError` if finished molecules of the bag
    cannot be paid for; it is asked for each bag of a task that has a list of them.

    Attributes:
        at_end: whether it is paid once, for the finished molecule; else for every new atom.
        needs: what the task must have: ``"fixed"`` atoms, a ``"shape"``, or ``""``.
    """

    at_end: ClassVar[bool]
    needs: ClassVar[str]

    def __call__(self, placed: Placed) -> Floats:
        """What is paid, before the weight.

        Args:
            placed: n placements; the last ones of their episodes, if ``at_end``.

        Returns:
            ``(n,)`` float64; a value that is not finite fails the episode.
        """
        ...
