"""Configuration of a molecular design environment: its rules, its reward and its task."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_numbers, chemical_symbols
from ase.units import Hartree
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.errors import InputError, did_you_mean
from molrl.validation import validated

_MIN_CONTACT = 0.1  # Å; energy models may refuse two atoms that are closer
# No episode of right energies in experiments/benchmarks/reward_window.py has a larger one.
MAX_UNCERTAINTY = 0.5
_SMALLEST_RADII = 0.56  # Å, of two helium atoms: the smallest sum of covalent radii


class Rules(BaseModel):
    """Rules for placing atoms and for ending an episode. Energies in eV, lengths in Å.

    An action that breaks a rule is refused: the canvas stays as it is and the episode ends with the
    reward ``min_reward``. An accepted action places an atom, whose energy difference
    r = E(canvas) + E(atom) - E(canvas + atom) is then checked: an atom outside ``min_reward`` to
    ``max_reward`` is rejected, which ends the episode with ``min_reward`` too. Steps that build
    real molecules are inside, whatever their order (experiments/benchmarks/reward_window.py);
    artefacts of a learned energy may be outside.

    Attributes:
        clash_fraction: two atoms clash if they are closer than this fraction of the sum of their
            covalent radii (Cordero et al. 2008).
        clash_distance: Å; two atoms clash if they are closer than this, whatever their elements.
        monovalent_distance: Å; a monovalent atom (H, F, Cl, Br) must be closer than this to an atom
            that is not monovalent, unless it is the first. None: no such rule.
        min_reward: eV, smallest energy difference, and the reward of all that is refused, rejected
            or failed.
        max_reward: eV, largest energy difference; None: no limit.
        max_uncertainty: largest uncertainty of the energy model for the canvas, on the scale of
            :meth:`molrl.energy.uncertainty.GaussianMixture.atom_uncertainty`. ``"auto"``:
            :data:`MAX_UNCERTAINTY` where the model offers an uncertainty, else no limit. A number:
            the model must offer one. None: no limit.
        keep_rejected: whether a rejected atom stays on the canvas.
        max_displacement: Å along each axis, of a new atom from the focal atom.

    Raises:
        InputError: if two atoms could be in one place.

    Example:
        >>> Rules(max_reward=20.0).clash_fraction
        0.65
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    clash_fraction: float = Field(
        default=0.65, ge=0, le=1, description="of the sum of covalent radii"
    )
    clash_distance: float = Field(
        default=0.0, ge=0, le=2, description="Å, for every pair of elements"
    )
    monovalent_distance: float | None = Field(
        default=2.0,
        gt=0,
        validation_alias=AliasChoices("monovalent_distance", "solo_distance"),  # in older files
        description="Å; None: no limit",
    )
    min_reward: float = Field(default=-5.0, lt=0, description="eV")
    max_reward: float | None = Field(default=24.0, gt=0, description="eV; None: no upper limit")
    max_uncertainty: float | Literal["auto"] | None = Field(
        default="auto",
        description="of the energy model, on its own scale; auto: where it has one; None: no limit",
    )
    keep_rejected: bool = Field(
        default=False, description="whether a rejected atom stays on the canvas"
    )
    max_displacement: float = Field(default=2.5, gt=0, le=100, description="Å, along each axis")

    @model_validator(mode="after")
    def _check_atoms_stay_apart(self) -> Self:
        if max(self.clash_distance, self.clash_fraction * _SMALLEST_RADII) < _MIN_CONTACT:
            raise InputError(
                "these allow two atoms in one place; "
                "set clash_fraction to 0.18 or clash_distance to 0.1 Å at least"
            )
        return self

    def resolved(self, offers_uncertainty: bool) -> Self:
        """Return the rules with a number or None for the ``max_uncertainty`` ``"auto"``.

        Args:
            offers_uncertainty: whether the energy model offers an uncertainty.

        Example:
            >>> Rules().resolved(offers_uncertainty=False).max_uncertainty is None
            True
        """
        if self.max_uncertainty != "auto":
            return self
        limit = MAX_UNCERTAINTY if offers_uncertainty else None
        return self.model_copy(update={"max_uncertainty": limit})

    @classmethod
    def named(cls, name: str) -> "Rules":
        """Return the rules ``"default"`` or ``"molgym"`` (Simm et al. 2020).

        Raises:
            InputError: if the name is unknown.
        """
        if name not in _NAMED:
            raise InputError(f"unknown rules {name!r}; {did_you_mean(name, _NAMED)}")
        return _NAMED[name]

    @classmethod
    def of(cls, rules: object) -> "Rules":
        """Return rules from a name, a mapping of what differs from the default, or rules.

        Raises:
            InputError: if a name or a key is unknown, or a value does not fit.
        """
        if isinstance(rules, Rules):
            return rules
        if isinstance(rules, str):
            return cls.named(rules)
        if not isinstance(rules, Mapping):
            raise InputError(f"rules must be a name or a mapping, not {rules!r}")
        return validated(cls, rules, "rules")


_NAMED = {
    "default": Rules(),
    "molgym": Rules(
        clash_fraction=0.0,
        clash_distance=0.6,
        min_reward=-0.6 * Hartree,
        max_reward=None,
        max_uncertainty=None,
        keep_rejected=True,
    ),
}


def to_bag(bag: object) -> Bag:
    """Return a bag, given as a formula or as a bag.

    Raises:
        InputError: if it is neither.
    """
    if not isinstance(bag, str | Bag):
        raise InputError(f"a bag must be a formula such as CH4O, not {bag!r}")
    return Bag(bag)


def _to_formula(bag: object) -> str:
    return to_bag(bag).formula


def _to_numbers(elements: object) -> tuple[int, ...] | None:
    """Return the atomic numbers, ascending, of symbols or atomic numbers."""
    if elements is None:
        return None
    if isinstance(elements, str) or not isinstance(elements, Sequence) or not elements:
        raise InputError(f"elements must be a list such as ['H', 'C'], not {elements!r}")
    numbers = set()
    for element in elements:
        number = atomic_numbers.get(element) if isinstance(element, str) else element
        if type(number) is not int or not 0 < number < len(chemical_symbols):
            raise InputError(f"elements: unknown element {element!r}")
        numbers.add(number)
    return tuple(sorted(numbers))


def _to_terms(reward: object) -> dict[str, Any]:
    if not isinstance(reward, Mapping) or not reward:
        raise InputError(f'a reward must be a mapping such as {{"energy": 1.0}}, not {reward!r}')
    for name in reward:
        if not isinstance(name, str):
            raise InputError(f"the name of a reward term must be a string, not {name!r}")
    return dict(reward)


Formula = Annotated[str, BeforeValidator(_to_formula)]
Terms = Annotated[dict[str, Any], BeforeValidator(_to_terms)]


class EnvOptions(BaseModel):
    """Options of an environment besides its task and its energy model.

    Attributes:
        elements: atomic numbers that an action chooses from, ascending; given as a list of symbols
            or atomic numbers. None: H, C, N, O and the elements of the bags.
        canvas_size: number of slots, which is the largest number of atoms on the canvas.
        rules: :class:`Rules`, ``"default"``, ``"molgym"``, or a mapping of what differs from the
            default.
        reward: name of each reward term to its weight or its options; see
            :func:`molrl.rewards.build_reward`.
        max_steps: largest number of atoms placed in an episode, which is then truncated. None: no
            limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    elements: Annotated[tuple[int, ...] | None, BeforeValidator(_to_numbers)] = None
    canvas_size: int = Field(default=25, strict=True, ge=1, le=1000)
    rules: Annotated[Rules, BeforeValidator(Rules.of)] = Rules()
    reward: Terms = Field(default={"energy": 1.0})
    max_steps: int | None = Field(default=None, strict=True, ge=1)


class TaskConfig(EnvOptions):
    """Configuration common to all tasks. All but models and functions can be written as JSON.

    Attributes:
        energy: energy model used for the reward: its name, a model, or an ASE calculator.
    """

    energy: str | EnergyModel | BaseCalculator = "mace"

    @classmethod
    def of(cls, **options: Any) -> Self:  # noqa: ANN401 - checked by the schema
        """Return the configuration that keyword arguments describe.

        Raises:
            InputError: if an argument is unknown or does not fit.
        """
        return validated(cls, options, "the environment")


class EnvConfig(TaskConfig):
    """Configuration of the task of a single bag.

    Attributes:
        bag: formula of the atoms to place, unless ``reset(options={"bag": ...})`` gives another.
    """

    bag: Formula = "CH3NO"
