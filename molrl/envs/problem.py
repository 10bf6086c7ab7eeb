"""Problems: a task with the energy, the rules and the reward of an environment."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from molrl.chemistry.fragments import Fragment
from molrl.chemistry.monovalent import MONOVALENT
from molrl.energy import load_energy
from molrl.energy.counting import CountedEnergy
from molrl.envs.config import EnvConfig
from molrl.envs.rules import TransitionContext
from molrl.envs.spaces import Layout
from molrl.envs.state import CanvasState
from molrl.errors import InputError
from molrl.rewards import EnergyDifference, build_reward, combine_wants
from molrl.tasks import Instance, InstanceSampler, Task


class Problem:
    """A task with the energy model, the elements, the rules and the reward of an environment.

    It is pickled as its configuration: an energy model named by a string is loaded again where it
    is unpickled, once per process.

    Args:
        config: the configuration.

    Attributes:
        config: the configuration.
        task: what to make.
        context: elements, rules and reward, for :func:`molrl.envs.rules.transition`.
        energy_model: energy model used for the reward; it counts the evaluations of this problem.
        layout: sizes that determine the spaces.

    Raises:
        InputError: if the energy model or one of its elements is unknown, the model does not
            compute what the reward wants, or what the task draws cannot be built.

    Example:
        >>> problem = Problem(EnvConfig(task="CH4", energy="gfn2"))  # doctest: +SKIP
        >>> state = problem.initial_state([problem.task.instance])  # doctest: +SKIP
    """

    def __init__(self, config: EnvConfig) -> None:
        self.config, self.task = config, config.task
        self._elements = np.array(config.elements or sorted(self.task.default_elements), np.int64)
        example = self.task.examples[0]
        self.layout = Layout(
            n_elements=len(self._elements),
            canvas_size=config.canvas_size,
            max_displacement=config.rules.max_displacement,
            n_points=len(example.shape),
            max_refills=example.refills,
            fixed=bool(len(example.fixed)),
        )
        self._check_bags(self.task)
        self._energies: dict[tuple[bytes, bytes, int, int | None], float] = {}
        self.energy_model = CountedEnergy(load_energy(config.energy))
        self._check_canvases(self.task)
        self.context = self._context(example)
        self._check_reward(self.task)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.config,)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that an action chooses from, ascending."""
        return tuple(self._elements.tolist())

    def episode_task(self, options: Mapping[str, Any]) -> Task | None:
        """Return the task of an episode with options of ``reset``; None: without options.

        Args:
            options: some of ``task.option_names``, with their values.

        Raises:
            InputError: if an option is unknown or does not fit.
        """
        given = self.task.checked_options(options)
        if not given:
            return None
        task = self.task.for_episode(given)
        self._check_bags(task)
        self._check_canvases(task)
        self._check_reward(task)
        return task

    def draw(self, rng: np.random.Generator, sampler: InstanceSampler) -> Instance:
        """Draw the instance of the next episode.

        Args:
            rng: generator of the environment.
            sampler: what draws, such as the task.

        Raises:
            InputError: if the instance cannot be built.
        """
        instance = sampler.draw(rng)
        self._check_bag(instance)
        return instance

    def initial_state(self, instances: Sequence[Instance]) -> CanvasState:
        """Return the initial canvases of episodes.

        Args:
            instances: one for each episode.

        Raises:
            InputError: if the energy model has no energy for fixed atoms.
        """
        return self._canvases(instances, [self._energy(instance) for instance in instances])

    def _context(self, example: Instance) -> TransitionContext:
        provides = [
            name for name, part in (("fixed", example.fixed), ("shape", example.shape)) if len(part)
        ]
        reward = build_reward(self.config.reward, self.energy_model, provides)
        rules = self.config.rules.resolved(self.energy_model.offers_uncertainty)
        of_rules = [] if rules.max_uncertainty is None else ["uncertainty"]
        wanted = combine_wants([*reward.wants, *of_rules])
        return TransitionContext(
            self._elements,
            rules,
            EnergyDifference(self.energy_model, self._elements.tolist(), wanted),
            reward,
            self.config.max_steps,
        )

    def _check_bags(self, task: Task) -> None:
        """Check that the bags of a task, and those it holds out, can be built on the canvas."""
        for instance in task.examples:
            self._check_bag(instance)
        for number in task.elements:
            if number not in self._elements:
                raise InputError(
                    f"the task holds {chemical_symbols[number]}, which is not among the elements"
                )
        if task.max_atoms > self.config.canvas_size:
            raise InputError(
                f"the task has molecules of up to {task.max_atoms} atoms; they must have at most "
                f"canvas_size {self.config.canvas_size}"
            )

    def _check_bag(self, instance: Instance) -> None:
        bag, fixed = instance.bag, instance.fixed
        for number in bag:
            if number not in self._elements:
                known = " ".join(chemical_symbols[z] for z in self._elements)
                raise InputError(
                    f"bag {bag} holds {chemical_symbols[number]}; elements are {known}"
                )
        room = (self.config.canvas_size - len(fixed)) // (1 + instance.refills)
        needed = len(fixed) + bag.n_atoms * (1 + instance.refills)
        if bag.n_atoms > room:
            what = f"bag {bag} has {bag.n_atoms} atoms; the canvas takes {max(0, room)}"
            if instance.refills:
                what = f"{1 + instance.refills} {bag} and what is fixed have {needed} atoms; the "
                what += f"canvas takes {self.config.canvas_size}"
            raise InputError(
                f"{what}; set canvas_size (in a config env.canvas_size) to {needed} or more"
            )
        monovalent = MONOVALENT[[*bag, *fixed.numbers]]
        if self.config.rules.monovalent_distance is not None and monovalent.all():
            raise InputError(
                f"bag {bag} has no heavy atom besides F, Cl and Br, so it cannot be built: H, F, "
                "Cl and Br must be placed next to an atom of another element"
            )

    def _check_canvases(self, task: Task) -> None:
        """Check that fixed atoms and points fit the canvas, its space, and the energy model."""
        for instance in task.examples:
            self._check_fixed(instance.fixed)
            if np.abs(instance.shape).max(initial=0.0) > self.layout.reach:
                reach = self.layout.reach
                raise InputError(f"the shape reaches farther than a canvas of {reach} Å")
            if (len(instance.shape), instance.refills) != (
                self.layout.n_points,
                self.layout.max_refills,
            ):
                raise InputError("all molecules of a task must have as many points and refills")
            if bool(len(instance.fixed)) != self.layout.fixed:
                raise InputError("all molecules of a task must have fixed atoms, or none")
            if instance.cell is not None:
                raise InputError("an environment has no periodic cell; give a task without one")

    def _check_fixed(self, fixed: Fragment) -> None:
        for number in fixed.numbers.tolist():
            if number not in self.energy_model.elements:
                raise InputError(
                    f"energy model {self.energy_model.name!r} does not know "
                    f"{chemical_symbols[number]}, which is among the fixed atoms; gfn2 knows H to "
                    "Rn"
                )
        self.energy_model.check_charge("the fixed atoms have", fixed.charge, fixed.spin)
        extent = float(np.abs(fixed.positions).max(initial=0.0))
        if extent > self.layout.max_displacement * max(0, len(fixed) - 1) + 1e-6:
            raise InputError(f"{len(fixed)} atoms that reach {extent:.1f} Å are too far apart")

    def _check_reward(self, task: Task) -> None:
        """Check that the reward terms can be computed for the molecules that are known before."""
        for instance in task.instances() or []:
            self.context.reward.check_bag(instance.finished_bag)

    def _energy(self, instance: Instance) -> float:
        """Return the energy of fixed atoms in eV; each fragment is evaluated once."""
        fixed = instance.fixed
        if not len(fixed):
            return 0.0
        key = (fixed.numbers.tobytes(), fixed.positions.tobytes(), fixed.charge, fixed.spin)
        if key not in self._energies:
            canvas = self._canvases([instance], [0.0])
            output = self.energy_model.evaluate(canvas.to_molecules())
            for failure in output.failures.values():
                raise InputError(f"the fixed atoms have no energy: {failure}")
            self._energies[key] = output.energy.item()
        return self._energies[key]

    def _canvases(self, instances: Sequence[Instance], energies: Sequence[float]) -> CanvasState:
        size = self.config.canvas_size
        return CanvasState.from_instances(instances, self.elements, energies, size)
