"""Reward terms that are chemistry, and a user's own."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from molrl.energy import EnergyModel
from molrl.errors import InputError
from molrl.rewards.interface import Floats, Placed


class Valid:
    """At the end: 1 for a valid molecule, else 0.

    Valid: one fragment, neutral, all valences satisfied, by RDKit on the coordinates; see
    :class:`molrl.chemistry.bonds.Validity`.
    """

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    def __init__(self, model: EnergyModel) -> None:
        pass

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)`` 0 or 1."""
        from molrl.chemistry.bonds import validity

        return validity(placed.molecules).valid.astype(np.float64)


class CustomTerm:
    """At the end: what a function of one's own says of the finished molecules.

    Args:
        call: takes a :class:`~molrl.molecules.MoleculeBatch` of n molecules, returns n numbers. If
            it has an attribute ``wants``, names of properties of the energy model such as
            ``("dipole",)``, it takes a second argument: a mapping of each name to n arrays.

    Example:
        >>> def polarity(molecules, properties):
        ...     return [np.linalg.norm(dipole) for dipole in properties["dipole"]]
        >>> polarity.wants = ("dipole",)
        >>> gym.make("MolDesign-v0", energy="gfn2", reward={"mine": polarity})  # doctest: +SKIP
    """

    at_end: ClassVar[bool] = True
    needs: ClassVar[str] = ""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        wants = getattr(call, "wants", ())
        if isinstance(wants, str):
            raise InputError(f"what a reward wants is a tuple such as ('dipole',), not {wants!r}")
        self.wants: tuple[str, ...] = tuple(wants)

    def __call__(self, placed: Placed) -> Floats:
        """``(n,)``.

        Raises:
            InputError: if the function does not return one number per molecule.
        """
        wanted = [placed.properties] if self.wants else []
        values = np.asarray(self._call(placed.molecules, *wanted), dtype=np.float64)
        if values.shape != (len(placed),):
            raise InputError(
                f"a reward of one's own returns {len(placed)} numbers for as many molecules, "
                f"not an array of shape {values.shape}"
            )
        return values
