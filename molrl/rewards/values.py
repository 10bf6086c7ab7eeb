"""Values of reward terms, which may be of users: checked, and failed where a term raises."""

from dataclasses import fields
from functools import cached_property

import numpy as np

from molrl.energy.each import described
from molrl.energy.relaxation import RelaxationResult
from molrl.errors import InputError
from molrl.rewards.chemistry import CustomTerm
from molrl.rewards.interface import Floats, PlacedAtoms, RewardTerm, as_numbers


class _Copied(PlacedAtoms):
    """Placed atoms whose molecules are a copy; what is relaxed is shared with the original."""

    original: PlacedAtoms

    @classmethod
    def of(cls, placed: PlacedAtoms) -> "_Copied":
        """Return a copy."""
        given = {each.name: getattr(placed, each.name) for each in fields(placed)}
        molecules = placed.molecules[np.arange(len(placed))]
        copied = cls(**{**given, "molecules": molecules})
        object.__setattr__(copied, "original", placed)
        return copied

    @cached_property
    def relaxed(self) -> RelaxationResult:
        """The relaxed canvases of the original."""
        return self.original.relaxed


def values_of(name: str, term: RewardTerm, placed: PlacedAtoms) -> tuple[Floats, dict[int, str]]:
    """Return the values of a term, and why some of them failed.

    A term that raises is computed once more for each canvas alone, so that it fails only those for
    which it raises. Terms from outside of molrl get copies: what they change is seen by none else.

    Args:
        name: of the term.
        term: the term.
        placed: n placed atoms.

    Returns:
        ``(n,)`` float64, NaN where the term failed; index of each of these, with the cause.

    Raises:
        InputError: if the term returns anything but n real numbers.
    """
    every = np.arange(len(placed))
    try:
        return _values(name, term, placed), {}
    except InputError:
        raise
    except Exception as error:  # a term of somebody else's can raise anything
        if len(placed) == 1:
            return np.array([np.nan]), {0: described(name, error)}
    values, failures = np.zeros(len(placed)), dict[int, str]()
    for i in every:
        of_one, failed = values_of(name, term, placed[every[i : i + 1]])
        values[i] = of_one[0]
        failures |= {int(i): cause for cause in failed.values()}
    return values, failures


def _values(name: str, term: RewardTerm, placed: PlacedAtoms) -> Floats:
    own = type(term).__module__.startswith("molrl.") and not isinstance(term, CustomTerm)
    try:
        return as_numbers(term(placed if own else _Copied.of(placed)), len(placed))
    except InputError as error:
        raise InputError(f"reward term {name!r}: {error}") from None
