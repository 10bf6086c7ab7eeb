"""What a molecular design environment can be told: its rules and its task."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from ase.calculators.calculator import BaseCalculator
from ase.data import atomic_numbers, chemical_symbols
from ase.units import Hartree
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from molrl.bags import Bag
from molrl.energy import EnergyModel
from molrl.errors import InputError, did_you_mean
from molrl.validation import validated

_MIN_CONTACT = 0.1  # Å; below it an energy model may take two atoms for one
_SMALLEST_RADII = 0.56  # Å, of two helium atoms: the smallest sum of covalent radii


class Rules(BaseModel):
    """What may be placed, and what ends an episode. Energies in eV, lengths in Å.

    An atom clashes if it is nearer to another than ``clash_fraction`` times the sum of their
    covalent radii (Cordero et al. 2008), or nearer than ``clash_distance``. A solo atom (H, F, Cl,
    Br) must have an atom that is none nearer than ``solo_distance``, unless it is the first.
    An action that breaks a rule is refused: the canvas stays as it is and the episode ends at
    ``min_reward``. An atom that pays less than ``min_reward`` or more than ``max_reward`` ends the
    episode at ``min_reward`` too; real bonds never do, holes in a learned energy may. So does an
    atom that leaves the energy model more uncertain of the canvas than ``max_uncertainty``; 0 is as
    uncertain as the 99 % quantile of what it was fitted to and learnt.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    clash_fraction: float = Field(
        default=0.65, ge=0, le=1, description="of the sum of covalent radii"
    )
    clash_distance: float = Field(
        default=0.0, ge=0, le=2, description="Å, for every pair of elements"
    )
    solo_distance: float | None = Field(default=2.0, gt=0, description="Å; None: no solo rule")
    min_reward: float = Field(default=-16.3, lt=0, description="eV")
    max_reward: float | None = Field(default=30.0, gt=0, description="eV; None: no upper limit")
    max_uncertainty: float | None = Field(
        default=None, description="of the energy model, on its own scale; None: no limit"
    )
    keep_rejected: bool = Field(
        default=False, description="whether an atom rejected for what it pays stays on the canvas"
    )
    max_displacement: float = Field(default=2.5, gt=0, le=100, description="Å, along each axis")

    @model_validator(mode="after")
    def _keeps_atoms_apart(self) -> Self:
        if max(self.clash_distance, self.clash_fraction * _SMALLEST_RADII) < _MIN_CONTACT:
            raise InputError(
                "these let two atoms be in one place; "
                "set clash_fraction to 0.18 or clash_distance to 0.1 Å at least"
            )
        return self

    @classmethod
    def named(cls, name: str) -> "Rules":
        """The rules called ``"default"`` or ``"molgym"`` (Simm et al. 2020).

        Raises:
            InputError: if no rules are called so.
        """
        if name not in _NAMED:
            raise InputError(f"no rules are called {name!r}; {did_you_mean(name, _NAMED)}")
        return _NAMED[name]

    @classmethod
    def of(cls, rules: object) -> "Rules":
        """Rules as they are, by name, or as a mapping of what differs from the default.

        Raises:
            InputError: if a name or a key is not known, or a value does not fit.
        """
        if isinstance(rules, Rules):
            return rules
        if isinstance(rules, str):
            return cls.named(rules)
        if not isinstance(rules, Mapping):
            raise InputError(f"rules are a name or a mapping, not {rules!r}")
        return validated(cls, rules, "rules")


_NAMED = {
    "default": Rules(),
    "molgym": Rules(
        clash_fraction=0.0,
        clash_distance=0.6,
        min_reward=-0.6 * Hartree,
        max_reward=None,
        keep_rejected=True,
    ),
}


def _formula(bag: object) -> str:
    if not isinstance(bag, str | Bag):
        raise InputError(f"a bag is a formula such as CH4O, not {bag!r}")
    return Bag(bag).formula


def _numbers(elements: object) -> tuple[int, ...] | None:
    """Atomic numbers, ascending, of symbols or atomic numbers."""
    if elements is None:
        return None
    if isinstance(elements, str) or not isinstance(elements, Sequence) or not elements:
        raise InputError(f"elements are a list such as ['H', 'C'], not {elements!r}")
    numbers = set()
    for element in elements:
        number = atomic_numbers.get(element) if isinstance(element, str) else element
        if type(number) is not int or not 0 < number < len(chemical_symbols):
            raise InputError(f"{element!r} among the elements is no element")
        numbers.add(number)
    return tuple(sorted(numbers))


def _terms(reward: object) -> dict[str, Any]:
    if not isinstance(reward, Mapping) or not reward:
        raise InputError(f'a reward is a mapping such as {{"energy": 1.0}}, not {reward!r}')
    for name in reward:
        if not isinstance(name, str):
            raise InputError(f"a reward term has a name, not {name!r}")
    return dict(reward)


Formula = Annotated[str, BeforeValidator(_formula)]
Terms = Annotated[dict[str, Any], BeforeValidator(_terms)]


class EnvOptions(BaseModel):
    """What an environment can be told besides its task and its energy.

    Attributes:
        elements: atomic numbers that an action chooses among, ascending; given as a list of
            symbols. None: H, C, N, O and what can be in a bag.
        canvas_size: slots on the canvas; the most atoms it takes.
        rules: :class:`Rules`, ``"default"``, ``"molgym"``, or a mapping of what differs from the
            default.
        reward: the terms that pay, each with its weight; see
            :func:`molrl.rewards.build_reward`.
        max_steps: atoms placed in an episode at most; it is truncated then. None: no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    elements: Annotated[tuple[int, ...] | None, BeforeValidator(_numbers)] = None
    canvas_size: int = Field(default=25, strict=True, ge=1, le=1000)
    rules: Annotated[Rules, BeforeValidator(Rules.of)] = Rules()
    reward: Terms = Field(default={"energy": 1.0})
    max_steps: int | None = Field(default=None, strict=True, ge=1)


class TaskConfig(EnvOptions):
    """What every task is told. Everything but a model and a function goes into JSON.

    Attributes:
        energy: what pays: the name of an energy model, an ASE calculator, or a model.
    """

    energy: str | EnergyModel | BaseCalculator = "mace"

    @classmethod
    def of(cls, **options: Any) -> Self:  # noqa: ANN401 - checked by the schema
        """The configuration that keyword arguments describe.

        Raises:
            InputError: if one is not known or does not fit.
        """
        return validated(cls, options, "the environment")


class EnvConfig(TaskConfig):
    """What a single bag is told.

    Attributes:
        bag: formula of the atoms to place, unless ``reset(options={"bag": ...})`` names others.
    """

    bag: Formula = "CH3NO"
