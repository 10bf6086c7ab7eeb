"""Interface of a reward term, and its input."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from molrl.energy import EnergyModel
from molrl.energy.relaxation import RelaxationResult, relax
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PlacedAtoms:
    """Accepted atoms, one on each of n canvases: the input of a reward term.

    The arrays cannot be written to, since they are also those of the environment.

    Attributes:
        molecules: n canvases, each with its new atom as the last.
        n_fixed: ``(n,)`` int64, number of fixed atoms, which are the first of each canvas.
        shape: ``(n, P, 3)`` float32, Å, points to fill; P is 0 where there is no shape.
        binding: ``(n,)`` float64, eV, E(canvas before) + E(atom) - E(canvas).
        energy: ``(n,)`` float64, eV, of the canvases.
        properties: name of each quantity that is wanted to one float64 array for each canvas:
            ``"forces"`` ``(n_atoms, 3)`` eV/Å, ``"descriptors"`` ``(n_atoms, n_features)``,
            ``"uncertainty"`` ``()``, and properties with ASE's names and units (``"dipole"``
            ``(3,)`` e Å).
        model: energy model of these energies.
    """

    molecules: MoleculeBatch
    n_fixed: NDArray[np.int64]
    shape: NDArray[np.float32]
    binding: Floats
    energy: Floats
    properties: dict[str, list[Floats]]
    model: EnergyModel

    def __post_init__(self) -> None:
        for name in ("n_fixed", "shape", "binding", "energy"):
            object.__setattr__(self, name, _read_only(getattr(self, name)))
        views = {key: [_read_only(x) for x in each] for key, each in self.properties.items()}
        object.__setattr__(self, "properties", views)

    def __len__(self) -> int:
        return len(self.binding)

    def __getitem__(self, rows: NDArray[np.intp]) -> "PlacedAtoms":
        """Return the atoms with the indices ``rows``."""
        return PlacedAtoms(
            self.molecules[rows],
            self.n_fixed[rows],
            self.shape[rows],
            self.binding[rows],
            self.energy[rows],
            {name: [values[i] for i in rows] for name, values in self.properties.items()},
            self.model,
        )

    @cached_property
    def new(self) -> Floats:
        """``(n, 3)`` float64, Å: positions of the new atoms."""
        last = self.molecules.starts + self.molecules.n_atoms - 1
        return self.molecules.positions[last].double().numpy()

    @cached_property
    def relaxed(self) -> RelaxationResult:
        """The relaxed canvases, no atom fixed; computed once for all terms."""
        return relax(self.molecules, self.model)


class RewardTerm(Protocol):
    """Interface of a reward term.

    Three further attributes are optional. ``requires`` is what the task must provide: ``"fixed"``
    atoms or a ``"shape"``. ``wants`` is a tuple of what is computed in the one evaluation of a step
    besides the energy, for :attr:`PlacedAtoms.properties`: ``"forces"``, ``"descriptors"``,
    ``"uncertainty"`` and properties of the energy model under ASE's names; an
    environment refuses what its energy model does not compute. ``check_bag(bag)`` raises an
    :class:`~molrl.errors.InputError` if the term cannot be computed for finished molecules of a
    bag; it is called for each bag of a task that has a list of bags.

    A class is registered by :func:`molrl.register`, and made of the energy model and the options of
    the config; a function of the finished molecules needs neither.
    :func:`molrl.testing.check_reward_term` checks a term.

    Attributes:
        at_end: whether the term is computed once, for the finished molecule; else for every atom.

    Example:
        >>> class Compactness:
        ...     at_end = True
        ...
        ...     def __init__(self, model):
        ...         self.model = model
        ...
        ...     def __call__(self, placed):
        ...         return np.array([-x.std() for _, x in placed.molecules.arrays()])
        >>> molrl.register("reward", "compact", Compactness)  # doctest: +SKIP
    """

    at_end: ClassVar[bool]

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return the reward before it is multiplied by the weight.

        Args:
            placed: n placed atoms; the last ones of their episodes, if ``at_end``.

        Returns:
            ``(n,)`` float64; a value that is not finite ends the episode as failed, and so does an
            exception for the canvas alone, which becomes the reason: where one is raised, the term
            is called again for each canvas.
        """
        ...


def as_numbers(values: object, n: int) -> Floats:
    """Return what a reward term returned as ``(n,)`` float64.

    Args:
        values: of a term.
        n: number of canvases.

    Raises:
        InputError: if it is not n real numbers.

    Example:
        >>> as_numbers([1, 2.5], 2)
        array([1. , 2.5])
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    try:
        array: NDArray[Any] = np.asarray(values)
    except (ValueError, RuntimeError):  # lists of different lengths, or of tensors with gradients
        array = np.array(None)
    if array.shape != (n,) or array.dtype.kind not in "fiub":
        given = f"{array.dtype} of shape {array.shape}" if array.shape else repr(values)[:60]
        raise InputError(f"it must return {n} real numbers for as many molecules, not {given}")
    return array.astype(np.float64)


def _read_only(array: Any) -> Any:  # noqa: ANN401 - an array, or a number of one
    """Return a view that cannot be written to."""
    view = np.asarray(array)[...]
    view.flags.writeable = False
    return view
