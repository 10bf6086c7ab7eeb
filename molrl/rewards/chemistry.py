"""Reward terms from chemistry, and user-defined reward terms."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.rewards.interface import Floats, PlacedAtoms, as_numbers


class ValidityReward:
    """Reward at the end: 1 for a valid molecule, else 0.

    A valid molecule is connected, and all its valences are satisfied with its charge, as RDKit
    perceives it from the coordinates; see :class:`molrl.chemistry.bonds.Validity`.

    Args:
        model: not used.
    """

    at_end: ClassVar[bool] = True

    def __init__(self, model: EnergyModel) -> None:
        pass

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return ``(n,)`` float64, 0 or 1."""
        from molrl.chemistry.bonds import validity

        return validity(placed.molecules).valid.astype(np.float64)


class CustomTerm:
    """Reward at the end: a user-defined function of the finished molecules.

    Args:
        call: function of a :class:`~molrl.molecules.MoleculeBatch` of n molecules that returns n
            numbers. If it has an attribute ``wants``, a tuple such as ``("forces", "dipole")``, its
            second argument is a mapping of each of these names to n arrays. The names are those of
            :class:`molrl.rewards.RewardTerm`, the shapes and units those of
            :class:`molrl.rewards.PlacedAtoms`.

    Raises:
        InputError: if the function does not take these arguments.

    Example:
        >>> def polarity(molecules, properties):
        ...     return [np.linalg.norm(dipole) for dipole in properties["dipole"]]
        >>> polarity.wants = ("dipole",)
        >>> gym.make("MolDesign-v0", energy="gfn2", reward={"mine": polarity})  # doctest: +SKIP
    """

    at_end: ClassVar[bool] = True

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self.wants: tuple[str, ...] = getattr(call, "wants", ())
        self._check_signature()

    def _check_signature(self) -> None:
        taken = ("molecules", "properties") if self.wants else ("molecules",)
        try:
            inspect.signature(self._call).bind(*taken)
        except TypeError:
            raise InputError(
                f"a reward function is called with {' and '.join(taken)}, which "
                f"{getattr(self._call, '__name__', self._call)!r} does not take"
            ) from None
        except ValueError:  # a function in C may have no signature
            pass

    def __call__(self, placed: PlacedAtoms) -> Floats:
        """Return the values of the function, ``(n,)`` float64.

        Raises:
            InputError: if the function does not return one number per molecule.
        """
        wanted = {name: placed.properties[name] for name in self.wants}
        further = [wanted] if wanted else []
        return as_numbers(self._call(placed.molecules, *further), len(placed))
