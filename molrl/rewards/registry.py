"""Reward terms by name, and the sum of some of them."""

import importlib
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.errors import InputError, did_you_mean
from molrl.registry import Registry
from molrl.rewards.chemistry import CustomTerm
from molrl.rewards.interface import Floats, Placed, RewardTerm

REWARD_TERMS = Registry(
    "reward term",
    {
        "energy": "molrl.rewards.energy:Binding",
        "atomisation": "molrl.rewards.energy:Atomisation",
        "relative_energy": "molrl.rewards.energy:RelativeEnergy",
        "relaxed_energy": "molrl.rewards.energy:RelaxedEnergy",
        "relaxation_move": "molrl.rewards.energy:RelaxationMove",
        "uncertainty": "molrl.rewards.energy:Uncertainty",
        "valid": "molrl.rewards.chemistry:Valid",
        "distance": "molrl.rewards.geometry:FromFixed",
        "shape": "molrl.rewards.geometry:OutOfShape",
        "coverage": "molrl.rewards.geometry:Coverage",
        "within": "molrl.rewards.geometry:Within",
    },
)


@dataclass(frozen=True)
class Reward:
    """A weighted sum of terms.

    Attributes:
        terms: name to weight, eV per unit of the term, and the term.
    """

    terms: dict[str, tuple[float, RewardTerm]]

    @property
    def wants(self) -> tuple[str, ...]:
        """Names of the properties of the energy model that the terms want, each once."""
        every = (name for _, term in self.terms.values() for name in getattr(term, "wants", ()))
        return tuple(dict.fromkeys(every))

    def check_bag(self, bag: Bag) -> None:
        """Check that finished molecules of a bag can be paid for.

        Raises:
            InputError: if a term cannot.
        """
        for name, (_, term) in self.terms.items():
            try:
                getattr(term, "check_bag", lambda bag: None)(bag)
            except InputError as error:
                raise InputError(f"reward term {name!r}: {error}") from None

    def compute_reward(self, placed: Placed, finished: np.ndarray) -> dict[str, Floats]:
        """What each term pays, eV.

        Args:
            placed: n placements.
            finished: ``(n,)`` bool, those that end their episode with the whole bag placed.

        Returns:
            Name of each term to ``(n,)`` float64, weights included; 0 where nothing is due.
        """
        last = np.flatnonzero(finished)
        done = placed[last] if len(last) and any(t.at_end for _, t in self.terms.values()) else None
        paid = {}
        for name, (weight, term) in self.terms.items():
            if not term.at_end:
                paid[name] = weight * term(placed)
                continue
            paid[name] = np.zeros(len(placed))
            if done is not None:
                paid[name][last] = weight * term(done)
        return paid


def build_reward(
    spec: Mapping[str, object], model: EnergyModel, offers: Collection[str] = ()
) -> Reward:
    """The reward that a mapping describes.

    Args:
        spec: name to weight (eV per unit of the term), or to a mapping of ``weight`` (1 unless
            given) and the term's own options. A name that is no term's is one's own: a function,
            or a mapping whose ``call`` is a function or ``"package.module:function"``; see
            :class:`molrl.rewards.chemistry.CustomTerm`.
        model: the energy.
        offers: what the task has: ``"fixed"`` atoms, a ``"shape"``.

    Raises:
        InputError: if a term is not known, does not fit the task or the model, or a weight is no
            number.
    """
    terms = {}
    for name, given in spec.items():
        options = dict(given) if isinstance(given, Mapping) else {"weight": given}
        if callable(given):
            options = {"call": given}
        weight = options.pop("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not isfinite(weight):
            raise InputError(f"reward term {name!r}: a weight is a number, not {weight!r}")
        term = _custom_term(name, options) if "call" in options else _named(name, model, options)
        if term.needs and term.needs not in offers:
            raise InputError(f"reward term {name!r} needs a task with a {term.needs} part")
        terms[name] = (float(weight), term)
    return Reward(terms)


def names_code(spec: Mapping[str, object] | None) -> bool:
    """Whether a reward has a term that is a function, or is named by an import string."""
    return any(
        callable(given) or (isinstance(given, Mapping) and "call" in given)
        for given in (spec or {}).values()
    )


def _named(name: str, model: EnergyModel, options: dict[str, object]) -> RewardTerm:
    factory = REWARD_TERMS.load(name)
    known = list(inspect.signature(factory).parameters)
    _check_options(name, options, [key for key in known if key != "model"])
    try:
        term: RewardTerm = factory(model, **options)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        told = str(error).partition(") ")[2] or error
        raise InputError(f"reward term {name!r}: {told}") from None
    return term


def _check_options(name: str, options: Mapping[str, object], known: Sequence[str]) -> None:
    for key in options:
        if key not in known:
            hint = did_you_mean(key, ["weight", *known])
            raise InputError(f"reward term {name!r} has no option {key!r}; {hint}")


def _custom_term(name: str, options: dict[str, object]) -> RewardTerm:
    call = options.pop("call")
    if name in REWARD_TERMS:
        raise InputError(f"reward term {name!r} is there already; give yours another name")
    _check_options(name, options, [])
    if isinstance(call, str):
        module, _, attribute = call.partition(":")
        try:
            call = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise InputError(f"reward term {name!r}: {call!r} cannot be had: {error}") from None
    if not callable(call):
        raise InputError(f"reward term {name!r}: {call!r} cannot be called")
    return CustomTerm(call)
