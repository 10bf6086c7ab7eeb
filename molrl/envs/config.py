"""Configuration of a molecular design environment: its task, its rules and its reward."""

from collections.abc import Mapping, Sequence, Set
from typing import Annotated, Any, Literal, Self

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.units import Hartree
from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator

from molrl.errors import InputError, UnexpectedArgument, did_you_mean
from molrl.runs.config import Config
from molrl.tasks import AnyTask, Task
from molrl.tasks.bag import BagTask
from molrl.tasks.registry import fields_of, kind_of, task_class
from molrl.validation import plain, validated

_MIN_CONTACT = 0.1  # Å; energy models may refuse two atoms that are closer
# It ends less than 1 % of the episodes that build real molecules, as reward_window.md shows.
MAX_UNCERTAINTY = 0.1
_SMALLEST_RADII = 0.56  # Å, of two helium atoms: the smallest sum of covalent radii


class Rules(Config):
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
        InputError: if a value does not fit, or two atoms could be in one place.

    Example:
        >>> Rules(max_reward=20.0).clash_fraction
        0.65
    """

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


def _to_numbers(elements: object) -> tuple[int, ...] | None:
    """Return the atomic numbers, ascending, of symbols or atomic numbers."""
    if elements is None:
        return None
    if isinstance(elements, np.ndarray | Set):
        elements = list(elements)
    if isinstance(elements, str) or not isinstance(elements, Sequence) or not elements:
        raise InputError(f"elements must be a list such as ['H', 'C'], not {elements!r}")
    numbers = set()
    for element in elements:
        number = atomic_numbers.get(element) if isinstance(element, str) else plain(element)
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


Terms = Annotated[dict[str, Any], BeforeValidator(_to_terms)]


# What an environment has by default besides its task, by the kind of the task; ``any`` is of all.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "any": {"energy": "mace", "reward": {"energy": 1.0}},
    "cluster": {"reward": {"energy": 1.0, "distance": 0.272}},
    "linker": {"reward": {"energy": 1.0, "valid": 5.0}},
    "shape": {"reward": {"energy": 1.0, "shape": 1.0, "coverage": 5.0}},
    "complex": {"energy": "gfn2"},
}


def default_options(task: object) -> dict[str, Any]:
    """Return the energy and the reward that an environment of a task has by default.

    Args:
        task: a task, or what :func:`molrl.tasks.parse_task` reads one from.

    Example:
        >>> default_options({"kind": "complex"})
        {'energy': 'gfn2', 'reward': {'energy': 1.0}}
    """
    kind = kind_of(task)
    return _DEFAULTS["any"] | (_DEFAULTS.get(kind, {}) if isinstance(kind, str) else {})


class EnvOptions(Config):
    """Options of an environment besides its task and its energy model.

    Attributes:
        elements: atomic numbers that an action chooses from, ascending; given as a list of symbols
            or atomic numbers. None: H, C, N, O and the elements of the bags.
        canvas_size: number of slots, which is the largest number of atoms on the canvas.
        rules: :class:`Rules`, ``"default"``, ``"molgym"``, or a mapping of what differs from the
            default.
        reward: name of each reward term to its weight or its options; see
            :func:`molrl.rewards.build_reward`. The default depends on the kind of the task.
        max_steps: largest number of atoms placed in an episode, which is then truncated. None: no
            limit.
    """

    elements: Annotated[tuple[int, ...] | None, BeforeValidator(_to_numbers)] = None
    canvas_size: int = Field(default=25, ge=1, le=1000)
    rules: Annotated[Rules, BeforeValidator(Rules.of)] = Rules()
    reward: Terms = Field(default=_DEFAULTS["any"]["reward"])
    max_steps: int | None = Field(default=None, ge=1)


def _check_energy(energy: object) -> object:
    if not isinstance(energy, str):  # as in every file, which is checked without the models
        from ase.calculators.calculator import BaseCalculator

        from molrl.energy import EnergyModel
        from molrl.energy.registry import checked_options

        if isinstance(energy, Mapping):
            return checked_options(energy)
        if not isinstance(energy, EnergyModel | BaseCalculator):
            raise InputError(f"must be a name, an EnergyModel or an ASE calculator, not {energy!r}")
    return energy


class EnvConfig(EnvOptions):
    """Configuration of an environment. All but models and functions can be written as JSON.

    Attributes:
        task: what to make: a task, the mapping of its fields, or a formula; see
            :func:`molrl.tasks.parse_task`.
        energy: energy model used for the reward: its name, the mapping of its name and options
            (:func:`molrl.energy.load_energy`), a model, or an ASE calculator. The default depends
            on the kind of the task.

    Raises:
        InputError: if a field is unknown, or a value does not fit.

    Example:
        >>> config = EnvConfig(task={"kind": "scaffold", "scaffold": "*C"}, energy="gfn2")
        >>> config.task.bag
        'CH3O'
    """

    task: AnyTask = BagTask()
    energy: Annotated[Any, AfterValidator(_check_energy)] = _DEFAULTS["any"]["energy"]

    @model_validator(mode="before")
    @classmethod
    def _fill_defaults(cls, values: Any) -> Any:  # noqa: ANN401 - checked by the fields
        if not isinstance(values, Mapping):
            return values
        return default_options(values.get("task")) | dict(values)


def build_config(task: object, keywords: Mapping[str, Any]) -> EnvConfig:
    """Return the configuration that arguments of an environment describe.

    Args:
        task: a task, the mapping of some of its fields, or a formula.
        keywords: fields of :class:`EnvConfig`, and fields of the task that are not in ``task``.

    Raises:
        InputError: if an argument is unknown, is given twice, or does not fit.

    Example:
        >>> build_config({"kind": "scaffold"}, {"bag": "CH3", "energy": "gfn2"}).task.bag
        'CH3'
    """
    options = {key: plain(keywords[key]) for key in keywords if key in EnvConfig.model_fields}
    fields = {key: plain(keywords[key]) for key in keywords if key not in options}
    return validated(EnvConfig, {**options, "task": _with_fields(task, fields)}, "the environment")


def _with_fields(task: object, fields: Mapping[str, Any]) -> object:
    """Return a task with the fields that were given as keywords of the environment."""
    schema = type(task) if isinstance(task, Task) else task_class(kind_of(task))
    known, partial = set(schema.model_fields) - {"kind"}, fields_of(task)
    given = known if partial is None else set(partial)
    for key in fields:
        if key not in known:
            hint = did_you_mean(key, known | set(EnvConfig.model_fields))
            raise UnexpectedArgument(f"unexpected keyword argument {key!r}; {hint}")
        if key in given:
            raise InputError(f"the keyword {key!r} is in the task, too; give it in one of them")
    return task if partial is None else {**partial, **fields}
