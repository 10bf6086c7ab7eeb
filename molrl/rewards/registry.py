"""Rewards from their descriptions: weighted sums of registered and custom terms."""

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.errors import InputError, did_you_mean
from molrl.parts import REWARD_TERMS
from molrl.registry import import_target
from molrl.rewards.chemistry import CustomTerm
from molrl.rewards.interface import Floats, PlacedAtoms, RewardTerm
from molrl.rewards.values import values_of
from molrl.runs.progress import log_message
from molrl.validation import checked_options, plain

_PARTS = {"fixed": "fixed atoms", "shape": "a shape"}


@dataclass(frozen=True)
class Reward:
    """Weighted sum of reward terms.

    Attributes:
        terms: name to weight (eV per unit of the term) and term.
    """

    terms: dict[str, tuple[float, RewardTerm]]
    _told: set[str] = field(default_factory=set, repr=False, compare=False)

    @property
    def wants(self) -> tuple[str, ...]:
        """Names of all that the terms want of an evaluation; see :func:`combine_wants`."""
        return tuple(name for _, term in self.terms.values() for name in getattr(term, "wants", ()))

    def check_bag(self, bag: Bag) -> None:
        """Check that all terms can be computed for finished molecules of a bag.

        Raises:
            InputError: if a term cannot.
        """
        for name, (_, term) in self.terms.items():
            try:
                getattr(term, "check_bag", lambda bag: None)(bag)
            except InputError as error:
                raise InputError(f"reward term {name!r}: {error}") from None

    def compute_reward(
        self, placed: PlacedAtoms, finished: np.ndarray
    ) -> tuple[dict[str, Floats], dict[int, str]]:
        """Compute the value of each term times its weight, eV.

        Args:
            placed: n placed atoms.
            finished: ``(n,)`` bool, atoms that complete their episode.

        Returns:
            Name of each term to ``(n,)`` float64: 0 for a term at the end before the end, not
            finite where it failed; and index of each atom for which a term failed, with the cause.

        Raises:
            InputError: if a term returns anything but n real numbers.
        """
        last = np.flatnonzero(finished)
        done = placed[last] if len(last) and any(t.at_end for _, t in self.terms.values()) else None
        values: dict[str, Floats] = {}
        failures: dict[int, str] = {}
        for name, (weight, term) in self.terms.items():
            rows, given = (last, done) if term.at_end else (np.arange(len(placed)), placed)
            values[name] = np.zeros(len(placed))
            if given is None:
                continue
            found, failed = values_of(name, term, given)
            values[name][rows] = weight * found
            for i in np.flatnonzero(~np.isfinite(values[name][rows])).tolist():
                bag = given.molecules[i].bags()[0]
                cause = failed.get(i, f"{name} is not a finite number for {bag}")
                failures.setdefault(int(rows[i]), cause)
            self._tell(name, failed)
        return values, failures

    def _tell(self, name: str, failed: Mapping[int, str]) -> None:
        """Print once that a term raised an exception, which would be easy to miss in a training."""
        if failed and name not in self._told:
            self._told.add(name)
            cause = next(iter(failed.values()))
            log_message(f"a reward term failed, which ends the episode: {cause}; this is said once")


def build_reward(
    spec: Mapping[str, object], model: EnergyModel, provides: Collection[str] = ()
) -> Reward:
    """Build the reward that a mapping describes.

    Args:
        spec: name of each term to its weight (eV per unit of the term), or to a mapping of
            ``weight`` (default 1) and the options of the term. A custom term has a new name and a
            function, or a mapping whose ``call`` is a function or ``"package.module:function"``;
            see :class:`molrl.rewards.chemistry.CustomTerm`.
        model: energy model.
        provides: what the task provides: ``"fixed"`` atoms, a ``"shape"``.

    Raises:
        InputError: if a term is unknown or does not fit the task, its ``at_end`` is not a bool or
            its ``wants`` not a tuple of names, or a weight is not a finite number. Whether the
            model computes what the terms want is checked by
            :class:`molrl.rewards.EnergyDifference`.

    Example:
        >>> model = molrl.load_energy("gfn2")  # doctest: +SKIP
        >>> reward = build_reward({"energy": 1.0, "valid": 2.0}, model)  # doctest: +SKIP
    """
    terms = {}
    for name, given in spec.items():
        options = dict(given) if isinstance(given, Mapping) else {"weight": given}
        if callable(given):
            options = {"call": given}
        weight = plain(options.pop("weight", 1.0))
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight):
            raise InputError(f"reward term {name!r}: weight must be a number, not {weight!r}")
        term = _custom_term(name, options) if "call" in options else _named(name, model, options)
        requires = getattr(term, "requires", "")
        if requires and requires not in provides:
            part = _PARTS.get(requires, requires)
            raise InputError(f"reward term {name!r} requires a task with {part}")
        at_end = getattr(term, "at_end", None)
        if not isinstance(at_end, bool):
            raise InputError(f"reward term {name!r}: at_end must be True or False, not {at_end!r}")
        terms[name] = (float(weight), term)
    return Reward(terms)


def contains_code(spec: Mapping[str, object] | None) -> bool:
    """Return whether a reward has a term that is a function or an import string.

    Args:
        spec: as in :func:`build_reward`, or None for no reward.
    """
    return any(
        callable(given) or (isinstance(given, Mapping) and "call" in given)
        for given in (spec or {}).values()
    )


def _named(name: str, model: EnergyModel, options: dict[str, object]) -> RewardTerm:
    given = next((key for key, value in options.items() if callable(value)), None)
    if given is not None and name not in REWARD_TERMS:
        raise InputError(f"reward term {name!r}: give its function as 'call', not as {given!r}")
    factory = REWARD_TERMS.load(name)
    if not callable(factory):
        raise InputError(f"reward term {name!r}: it must be a class of terms, not {factory!r}")
    parameters = list(inspect.signature(factory).parameters.values())
    if not any(each.kind is each.VAR_KEYWORD for each in parameters):
        _check_options(name, options, ["weight", *(each.name for each in parameters[1:])])
    options = checked_options(factory, options, f"reward term {name!r}")
    for each in parameters[1:]:  # the first is the model
        optional = each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        if each.default is each.empty and not optional and each.name not in options:
            wanted = f"{{{name}: {{weight: 1.0, {each.name}: ...}}}}"
            raise InputError(f"reward term {name!r}: {each.name} must be given, as in {wanted}")
    try:
        term: RewardTerm = factory(model, **options)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        cause = str(error).partition(") ")[2] or error  # without the "__init__()" of a TypeError
        raise InputError(f"reward term {name!r}: {cause}") from None
    _check_wants(name, getattr(term, "wants", ()))
    return term


def _check_options(name: str, options: Mapping[str, object], known: Sequence[str]) -> None:
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known)
            raise InputError(f"reward term {name!r}: unknown option {key!r}; {hint}")


def _check_wants(name: str, wants: object) -> None:
    if not isinstance(wants, tuple | list) or not all(isinstance(want, str) for want in wants):
        raise InputError(
            f"reward term {name!r}: wants must be a tuple such as ('dipole',), not {wants!r}"
        )


def _custom_term(name: str, options: dict[str, object]) -> RewardTerm:
    call = options.pop("call")
    if name in REWARD_TERMS:
        raise InputError(f"reward term {name!r} already exists; give yours another name")
    _check_options(name, options, ["weight", "call"])
    call = import_target(call, f"reward term {name!r}: {call!r}")
    if not callable(call):
        raise InputError(f"reward term {name!r}: {call!r} must be a function")
    _check_wants(name, getattr(call, "wants", ()))
    try:
        return CustomTerm(call)
    except InputError as error:
        raise InputError(f"reward term {name!r}: {error}") from None
