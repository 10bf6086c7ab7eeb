"""Tasks: what an environment makes, resolved from a configuration."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from molrl.bags import Bag
from molrl.chemistry.fragments import Fragment
from molrl.energy import load_energy
from molrl.energy.counting import CountedEnergy
from molrl.envs.bag_samplers import BagSampler, FixedBagSampler
from molrl.envs.config import EnvConfig, TaskConfig, to_bag
from molrl.envs.rules import MONOVALENT, TransitionContext
from molrl.envs.spaces import Layout
from molrl.envs.state import CanvasState, Instance
from molrl.errors import InputError, did_you_mean
from molrl.registry import Registry
from molrl.rewards import EnergyDifference, build_reward, combine_wants

TASKS = Registry(
    "design task",
    {
        "bag": "molrl.envs.task:DesignTask",
        "bags": "molrl.envs.tasks.bags:Bags",
        "stochastic": "molrl.envs.tasks.stochastic:StochasticBag",
        "cluster": "molrl.envs.tasks.cluster:Cluster",
        "scaffold": "molrl.envs.tasks.scaffold:Scaffold",
        "linker": "molrl.envs.tasks.linker:Linker",
        "shape": "molrl.envs.tasks.shape:Shape",
        "complex": "molrl.envs.tasks.complex:SymmetricComplex",
    },
)
NO_ATOMS = Fragment(np.zeros(0, np.int64), np.zeros((0, 3)))
NO_POINTS = np.zeros((0, 3), np.float32)

ConfigT = TypeVar("ConfigT", bound=TaskConfig)


@dataclass(frozen=True)
class ResetOptions:
    """Options of a reset, each of which replaces a part of the task for one episode.

    Attributes:
        sampler: bag sampler, or None for that of the task.
        fixed: fixed atoms, or None for those of the task.
        shape: ``(P, 3)`` float32, Å, points to fill, or None for those of the task.
    """

    sampler: BagSampler | None = None
    fixed: Fragment | None = None
    shape: NDArray[np.float32] | None = None


class Task(Generic[ConfigT]):
    """Base class of the tasks: a bag sampler, fixed atoms and points to fill.

    A custom task sets ``Config`` and overrides :meth:`bag_sampler`, and :meth:`fixed_atoms`,
    :meth:`points` or ``refills`` where it has them. It is pickled as its configuration: an energy
    model named by a string is loaded again where it is unpickled, once per process.

    Args:
        config: the configuration.

    Attributes:
        Config: class of the configuration.
        option_names: keys of the options of ``reset``.
        provides: what reward terms can require of the task: ``"fixed"`` atoms, a ``"shape"``.
        config: the configuration.
        context: elements, rules and reward, for :func:`molrl.envs.rules.transition`.
        energy_model: energy model used for the reward; it counts the evaluations of this task.
        layout: sizes that determine the spaces.

    Raises:
        InputError: if the energy model or one of its elements is unknown, the model does not
            compute what the reward wants, or a bag cannot be built.

    Example:
        >>> class Methane(Task[TaskConfig]):
        ...     Config = TaskConfig
        ...
        ...     def bag_sampler(self) -> BagSampler:
        ...         return FixedBagSampler(Bag("CH4"))
        >>> env = MolDesignEnv(task=Methane, energy="gfn2")  # doctest: +SKIP
    """

    Config: ClassVar[type[TaskConfig]]
    option_names: ClassVar[tuple[str, ...]] = ("bag",)
    provides: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._sampler = self.bag_sampler()
        self._fixed = self.fixed_atoms({})
        self._shape = self.points({})
        self._elements = np.array(config.elements or sorted(self.default_elements), np.int64)
        for bag in self.representative_bags():
            self.count_atoms(bag)
        self._energies: dict[tuple[bytes, bytes, int, int | None], float] = {}
        self.energy_model = CountedEnergy(load_energy(config.energy))
        self.layout = Layout(
            n_elements=len(self._elements),
            canvas_size=config.canvas_size,
            max_displacement=config.rules.max_displacement,
            n_points=len(self._shape),
            max_refills=self.refills,
        )
        self.check_canvas(self._fixed, self._shape)
        reward = build_reward(config.reward, self.energy_model, self.provides)
        for bag in self.known_bags():
            reward.check_bag(self._finished_bag(bag))
        rules = config.rules.resolved(self.energy_model.offers_uncertainty)
        of_rules = [] if rules.max_uncertainty is None else ["uncertainty"]
        wanted = combine_wants([*reward.wants, *of_rules])
        self.context = TransitionContext(
            self._elements,
            rules,
            EnergyDifference(self.energy_model, self._elements.tolist(), wanted),
            reward,
            config.max_steps,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.config,)

    def bag_sampler(self) -> BagSampler:
        """Return the bag sampler of the task; each environment gets a copy."""
        raise NotImplementedError

    def fixed_atoms(self, options: Mapping[str, Any]) -> Fragment:
        """Return the atoms that are on the canvas from the first step on.

        Args:
            options: options of a reset; an option that is missing is that of the configuration.
        """
        return NO_ATOMS

    def points(self, options: Mapping[str, Any]) -> NDArray[np.float32]:
        """Return the points to fill, ``(P, 3)`` Å.

        Args:
            options: options of a reset; an option that is missing is that of the configuration.
        """
        return NO_POINTS

    @property
    def refills(self) -> int:
        """How many times an empty bag is refilled."""
        return 0

    @property
    def default_elements(self) -> set[int]:
        """Atomic numbers that an action chooses from, unless the configuration has them."""
        return {1, 6, 7, 8} | self._sampler.elements

    def representative_bags(self) -> Sequence[Bag]:
        """Return the bags for which the constructor checks that they can be built."""
        return [self._sampler.draw(np.random.default_rng(0))]

    def known_bags(self) -> Sequence[Bag]:
        """Return all bags of episodes without options of reset, if the sampler has a list of them.

        The constructor checks that the reward terms can be computed for their finished molecules.
        """
        bags: Sequence[Bag] = getattr(self._sampler, "bags", [])
        return bags

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that an action chooses from, ascending."""
        return tuple(self._elements.tolist())

    def new_sampler(self) -> BagSampler:
        """Return a bag sampler in its initial state, for one environment."""
        return copy.copy(self._sampler)

    def parse_options(self, options: Mapping[str, Any]) -> ResetOptions:
        """Return the options of a reset after checking them.

        Args:
            options: some of ``option_names``, with their values.

        Raises:
            InputError: if an option is unknown or does not fit.
        """
        for key in options:
            if key not in self.option_names:
                hint = did_you_mean(str(key), self.option_names)
                raise InputError(f"reset: unknown option {key!r}; {hint}")
        if not options:
            return ResetOptions()
        fixed, shape = self.fixed_atoms(options), self.points(options)
        self.check_canvas(fixed, shape)
        sampler = self.sampler_of_options(options)
        known: Sequence[Bag] | None = getattr(sampler, "bags", None)
        for bag in self.representative_bags() if known is None else known:
            self.count_atoms(bag, fixed)
        for bag in self.known_bags() if known is None else known:
            self.context.reward.check_bag(self._finished_bag(bag, fixed))
        return ResetOptions(sampler, fixed, shape)

    def sampler_of_options(self, options: Mapping[str, Any]) -> BagSampler | None:
        """Return the bag sampler that the options of a reset ask for, or None.

        Args:
            options: options of a reset.
        """
        bag = options.get("bag")
        return None if bag is None else FixedBagSampler(to_bag(bag))

    def draw_instance(
        self, rng: np.random.Generator, sampler: BagSampler, options: ResetOptions
    ) -> Instance:
        """Draw the initial conditions of the next episode of one environment.

        Args:
            rng: generator of the environment.
            sampler: bag sampler of the environment.
            options: options of this reset.

        Raises:
            InputError: if the energy model has no energy for the fixed atoms.
        """
        bag = (options.sampler or sampler).draw(rng)
        fixed = self._fixed if options.fixed is None else options.fixed
        return Instance(
            bag=self.count_atoms(bag, fixed),
            numbers=fixed.numbers,
            positions=fixed.positions,
            energy=self._energy(fixed),
            refills=self.refills,
            shape=self._shape if options.shape is None else options.shape,
            charge=fixed.charge,
            spin=fixed.spin or 0,
        )

    def initial_state(self, instances: Sequence[Instance]) -> CanvasState:
        """Return the initial canvases of episodes."""
        return CanvasState.from_instances(instances, self.config.canvas_size)

    def count_atoms(self, bag: Bag, fixed: Fragment | None = None) -> NDArray[np.int64]:
        """Return ``(E,)`` int64: the number of atoms of each element in a bag.

        Args:
            bag: atoms to place.
            fixed: fixed atoms; None: those of the task.

        Raises:
            InputError: if the bag cannot be built under the rules, or does not fit the canvas or
                the elements.
        """
        fixed = self._fixed if fixed is None else fixed
        for number in bag:
            if number not in self._elements:
                known = " ".join(chemical_symbols[z] for z in self._elements)
                raise InputError(
                    f"bag {bag} holds {chemical_symbols[number]}; elements are {known}"
                )
        room = (self.config.canvas_size - len(fixed)) // (1 + self.refills)
        if bag.n_atoms > room:
            raise InputError(f"bag {bag} has {bag.n_atoms} atoms; the canvas takes {max(0, room)}")
        monovalent = MONOVALENT[[*bag, *fixed.numbers]]
        if self.config.rules.monovalent_distance is not None and monovalent.all():
            raise InputError(
                f"bag {bag} has no heavy atom besides F, Cl and Br, so it cannot be built: H, F, "
                "Cl and Br must be placed next to an atom of another element"
            )
        return np.array([bag[z] for z in self._elements], np.int64)

    def check_canvas(self, fixed: Fragment, shape: NDArray[np.float32]) -> None:
        """Check fixed atoms and points to fill.

        Args:
            fixed: fixed atoms.
            shape: ``(P, 3)`` Å.

        Raises:
            InputError: if they do not fit the canvas, its space, or the energy model.
        """
        for number in fixed.numbers.tolist():
            if number not in self.energy_model.elements:
                raise InputError(
                    f"energy model {self.energy_model.name!r} does not know "
                    f"{chemical_symbols[number]}, which is among the fixed atoms"
                )
        self.energy_model.check_charge("the fixed atoms have", fixed.charge, fixed.spin)
        extent = float(np.abs(fixed.positions).max(initial=0.0))
        if extent > self.layout.max_displacement * max(0, len(fixed) - 1) + 1e-6:
            raise InputError(f"{len(fixed)} atoms that reach {extent:.1f} Å are too far apart")
        if np.abs(shape).max(initial=0.0) > self.layout.reach:
            raise InputError(f"the shape reaches farther than a canvas of {self.layout.reach} Å")

    def _finished_bag(self, bag: Bag, fixed: Fragment | None = None) -> Bag:
        """Return the atoms on the canvas when a bag and all its refills are placed."""
        fixed = self._fixed if fixed is None else fixed
        return Bag([*fixed.numbers.tolist(), *(1 + self.refills) * bag.numbers])

    def _energy(self, fixed: Fragment) -> float:
        """Return the energy of fixed atoms in eV; each fragment is evaluated once."""
        if not len(fixed):
            return 0.0
        key = (fixed.numbers.tobytes(), fixed.positions.tobytes(), fixed.charge, fixed.spin)
        if key not in self._energies:
            instance = Instance(
                bag=np.zeros(0, np.int64),
                numbers=fixed.numbers,
                positions=fixed.positions,
                energy=0.0,
                refills=0,
                shape=NO_POINTS,
                charge=fixed.charge,
                spin=fixed.spin or 0,
            )
            molecules = CanvasState.from_instances([instance], len(fixed)).to_molecules()
            output = self.energy_model.evaluate(molecules)
            for failure in output.failures.values():
                raise InputError(f"the fixed atoms have no energy: {failure}")
            self._energies[key] = output.energy.item()
        return self._energies[key]


class DesignTask(Task[EnvConfig]):
    """Task of placing all atoms of one bag on an empty canvas.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag of this one episode.

    Config: the fields of :class:`molrl.envs.config.EnvConfig`: ``bag``.
    """

    Config = EnvConfig

    def bag_sampler(self) -> FixedBagSampler:
        """Return the sampler of the one bag."""
        return FixedBagSampler(Bag(self.config.bag))


def check_fragment_name(name: object) -> str:
    """Return the SMILES or the file name of a fragment after checking that it is a string.

    Raises:
        InputError: if it is not.
    """
    if not isinstance(name, str) or not name:
        raise InputError(f"a fragment must be a SMILES or the name of a file, not {name!r}")
    return name
