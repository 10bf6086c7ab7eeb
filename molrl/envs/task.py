"""A task: a configuration resolved, and what each of its episodes begins with."""

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
from molrl.envs.config import EnvConfig, TaskConfig
from molrl.envs.rules import MONOVALENT, TransitionContext
from molrl.envs.spaces import Layout
from molrl.envs.state import CanvasState, Instance
from molrl.errors import InputError, did_you_mean
from molrl.molecules import MoleculeBatch
from molrl.registry import Registry
from molrl.rewards import EnergyDifference, build_reward

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
NOTHING = Fragment(np.zeros(0, np.int64), np.zeros((0, 3)))
NO_POINTS = np.zeros((0, 3), np.float32)

ConfigT = TypeVar("ConfigT", bound=TaskConfig)


@dataclass(frozen=True)
class ResetOptions:
    """What the options of a reset choose in place of what the task has.

    Attributes:
        bags: who draws the bag.
        fixed: atoms that stand there already.
        shape: ``(P, 3)`` float32, Å.
    """

    bags: BagSampler | None = None
    fixed: Fragment | None = None
    shape: NDArray[np.float32] | None = None


class Task(Generic[ConfigT]):
    """What every task is: who draws the bag, what stands there already, what is to be filled.

    A task of one's own overrides :meth:`bag_sampler`, :meth:`fixed_atoms`, :meth:`points` or
    ``refills``. It is pickled as its configuration: an energy model named by a string is loaded
    again where it is unpickled, once per process.

    Args:
        config: the configuration.

    Attributes:
        config: the same.
        game: elements, rules and reward, for :func:`molrl.envs.rules.transition`.
        energy_model: what pays, and counts what it is asked in this task.
        layout: the sizes that the spaces follow from.

    Raises:
        InputError: if the energy model or one of its elements is not known, or a bag cannot be
            built.
    """

    Config: ClassVar[type[TaskConfig]]
    OPTIONS: ClassVar[tuple[str, ...]] = ("bag",)
    OFFERS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._source = self.bag_sampler()
        self._fixed = self.fixed_atoms({})
        self._shape = self.points({})
        self._elements = np.array(config.elements or sorted(self.default_elements), np.int64)
        for bag in self.representatives():
            self.counts(bag)
        self._energies: dict[bytes, float] = {}
        self.energy_model = CountedEnergy(load_energy(config.energy))
        self.layout = Layout(
            n_elements=len(self._elements),
            canvas_size=config.canvas_size,
            max_displacement=config.rules.max_displacement,
            n_points=len(self._shape),
            max_refills=self.refills,
        )
        self.check(self._fixed, self._shape)
        reward = build_reward(config.reward, self.energy_model, self.OFFERS)
        for bag in self.known_bags():
            reward.check_bag(self._finished(bag))
        uncertainty = config.rules.max_uncertainty is not None or "uncertainty" in config.reward
        self.game = TransitionContext(
            self._elements,
            config.rules,
            EnergyDifference(self.energy_model, self._elements.tolist(), uncertainty, reward.wants),
            reward,
            config.max_steps,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.config,)

    def bag_sampler(self) -> BagSampler:
        """Who draws the bags; each environment gets a copy."""
        raise NotImplementedError

    def fixed_atoms(self, options: Mapping[str, Any]) -> Fragment:
        """What stands on the canvas already, as the options of a reset choose."""
        return NOTHING

    def points(self, options: Mapping[str, Any]) -> NDArray[np.float32]:
        """``(P, 3)`` Å, the points to fill, as the options of a reset choose."""
        return NO_POINTS

    @property
    def refills(self) -> int:
        """How often the bag is filled again when it is empty."""
        return 0

    @property
    def default_elements(self) -> set[int]:
        """Atomic numbers an action chooses among, unless the configuration names them."""
        return {1, 6, 7, 8} | self._source.elements

    def representatives(self) -> Sequence[Bag]:
        """Bags that the constructor checks."""
        return [self._source.draw(np.random.default_rng(0))]

    def known_bags(self) -> Sequence[Bag]:
        """All bags of episodes whose reset chooses none; none where compositions are drawn.

        The constructor checks that their finished molecules can be paid for.
        """
        bags: Sequence[Bag] = getattr(self._source, "bags", [])
        return bags

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers an action chooses among, ascending."""
        return tuple(self._elements.tolist())

    def new_sampler(self) -> BagSampler:
        """A source of bags for one environment, at its beginning."""
        return copy.copy(self._source)

    def choose(self, options: Mapping[str, Any]) -> ResetOptions:
        """What the options of a reset choose.

        Raises:
            InputError: if one is not known or does not fit.
        """
        for key in options:
            if key not in self.OPTIONS:
                raise InputError(
                    f"reset has no option {key!r}; {did_you_mean(str(key), self.OPTIONS)}"
                )
        if not options:
            return ResetOptions()
        fixed, shape = self.fixed_atoms(options), self.points(options)
        self.check(fixed, shape)
        bags = self.chosen_bags(options)
        known: Sequence[Bag] | None = getattr(bags, "bags", None)
        for bag in self.representatives() if known is None else known:
            self.counts(bag, fixed)
        for bag in self.known_bags() if known is None else known:
            self.game.reward.check_bag(self._finished(bag, fixed))
        return ResetOptions(bags, fixed, shape)

    def chosen_bags(self, options: Mapping[str, Any]) -> BagSampler | None:
        """Who draws the bag instead, as the options of a reset choose."""
        bag = options.get("bag")
        return None if bag is None else FixedBagSampler(as_bag(bag))

    def begin(self, rng: np.random.Generator, source: BagSampler, chosen: ResetOptions) -> Instance:
        """What the next episode of one environment begins with.

        Args:
            rng: the environment's generator.
            source: the environment's source of bags.
            chosen: what is chosen for this episode.

        Raises:
            InputError: if the energy of what stands there cannot be had.
        """
        bag = (chosen.bags or source).draw(rng)
        fixed = self._fixed if chosen.fixed is None else chosen.fixed
        return Instance(
            bag=self.counts(bag, fixed),
            numbers=fixed.numbers,
            positions=fixed.positions,
            energy=self._energy(fixed),
            refills=self.refills,
            shape=self._shape if chosen.shape is None else chosen.shape,
        )

    def state(self, starts: Sequence[Instance]) -> CanvasState:
        """Canvases as their episodes begin."""
        return CanvasState.begin(starts, self.config.canvas_size)

    def counts(self, bag: Bag, fixed: Fragment | None = None) -> NDArray[np.int64]:
        """``(E,)`` int64: how many atoms of each element are in the bag.

        Args:
            bag: atoms to place.
            fixed: atoms that stand there already; the task's, if None.

        Raises:
            InputError: if it cannot be built under the rules, or does not fit the canvas or the
                elements.
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
        heavy = ~MONOVALENT[[*bag, *fixed.numbers]]
        if self.config.rules.solo_distance is not None and not heavy.any():
            raise InputError(
                f"bag {bag} holds no heavy atom, so it cannot be built: H, F, Cl and Br are placed "
                "next to another atom"
            )
        return np.array([bag[z] for z in self._elements], np.int64)

    def check(self, fixed: Fragment, shape: NDArray[np.float32]) -> None:
        """Check what stands there already and what is to be filled.

        Raises:
            InputError: if it does not fit the canvas, its space, or the energy model.
        """
        for number in fixed.numbers.tolist():
            if number not in self.energy_model.elements:
                raise InputError(
                    f"energy model {self.energy_model.name!r} does not know "
                    f"{chemical_symbols[number]}, which stands on the canvas already"
                )
        extent = float(np.abs(fixed.positions).max(initial=0.0))
        if extent > self.layout.max_displacement * max(0, len(fixed) - 1) + 1e-6:
            raise InputError(f"{len(fixed)} atoms that reach {extent:.1f} Å are too far apart")
        if np.abs(shape).max(initial=0.0) > self.layout.reach:
            raise InputError(f"the shape reaches farther than a canvas of {self.layout.reach} Å")

    def _finished(self, bag: Bag, fixed: Fragment | None = None) -> Bag:
        """The atoms on the canvas when all refills of a bag are placed."""
        fixed = self._fixed if fixed is None else fixed
        return Bag([*fixed.numbers.tolist(), *(1 + self.refills) * bag.numbers])

    def _energy(self, fixed: Fragment) -> float:
        if not len(fixed):
            return 0.0
        key = fixed.numbers.tobytes() + fixed.positions.tobytes()
        if key not in self._energies:
            positions = fixed.positions.astype(np.float32)
            output = self.energy_model.evaluate(
                MoleculeBatch.from_arrays([(fixed.numbers, positions)])
            )
            for failure in output.failures.values():
                raise InputError(f"what stands on the canvas has no energy: {failure}")
            self._energies[key] = output.energy.item()
        return self._energies[key]


class DesignTask(Task[EnvConfig]):
    """Placing all atoms of one bag on an empty canvas.

    Options of ``reset``: ``{"bag": "C2H6O"}`` chooses the bag of this one episode.

    Config: the fields of :class:`molrl.envs.config.EnvConfig`: ``bag``.
    """

    Config = EnvConfig

    def bag_sampler(self) -> FixedBagSampler:
        """The one bag."""
        return FixedBagSampler(Bag(self.config.bag))


def as_bag(bag: object) -> Bag:
    """A bag, given as one or as a formula.

    Raises:
        InputError: if it is neither.
    """
    if not isinstance(bag, str | Bag):
        raise InputError(f"a bag is a formula such as CH4O, not {bag!r}")
    return Bag(bag)


def as_source(source: object) -> str:
    """Where a fragment comes from, if it is a string.

    Raises:
        InputError: if it is none.
    """
    if not isinstance(source, str) or not source:
        raise InputError(f"a fragment is a SMILES or the name of a file, not {source!r}")
    return source
