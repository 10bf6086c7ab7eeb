"""Vector environment for many molecules, with one batched energy evaluation per step."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from molrl.envs.config import build_config
from molrl.envs.design import MolDesignEnv
from molrl.envs.problem import Problem
from molrl.envs.problem_mixin import ProblemMixin, to_int, to_options
from molrl.envs.rules import REASON_TEXTS, Reason, Transition, checked_actions, transition
from molrl.envs.spaces import Observation, action_space, observation_space, observe
from molrl.envs.state import CanvasState
from molrl.envs.viewer import Draw, Viewer
from molrl.errors import InputError, did_you_mean
from molrl.tasks import InstanceSampler, Task

Bools = NDArray[np.bool_]


class MolDesignVectorEnv(ProblemMixin, VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """B environments :class:`molrl.envs.design.MolDesignEnv`, stepped together.

    Equivalent to a ``SyncVectorEnv`` of B single environments, but a step costs one batched energy
    evaluation, of the canvases that got an atom other than their first.

    Observation, action, reward, termination and info: those of the single environment with a first
        axis B; rewards ``(B,)`` float64, terminations and truncations ``(B,)`` bool. Each ``info``
        array has a mask ``_<key>`` of the environments that it has a value for.

    Autoreset: ``"NextStep"`` (the default), ``"SameStep"`` (the last observation and info are
        ``info["final_obs"]`` and ``info["final_info"]``), ``"Disabled"`` (reset environments that
        ended with ``reset(options={"reset_mask": mask})``, mask ``(B,)`` bool).

    Options of ``reset``: ``{"bag": "C2H6O"}``, or a list of B formulas, for this one episode; other
        options of the task, for all environments.

    Randomness: each environment has its own generator; a seed s seeds them with s, s + 1, ...

    Args:
        num_envs: B.
        autoreset_mode: an ``AutoresetMode`` or its value.
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        max_episode_steps: the same as ``max_steps``; Gymnasium's name for it. -1: no limit.
        task: what to make; see :class:`molrl.envs.design.MolDesignEnv`.
        draw: function that draws the images; None: molrl's renderer.
        config: fields of the environment and of the task; see
            :class:`molrl.envs.design.MolDesignEnv`.

    Attributes:
        problem: the task with the energy, the rules and the reward.
        endings: number of episodes that ended for each :class:`molrl.envs.rules.Reason`, by its
            text.
        last_state: the canvases after the last step; in mode ``"SameStep"``, before those that
            ended were reset.

    Raises:
        InputError: if an argument is unknown or does not fit, or the bag cannot be built.

    Example:
        >>> envs = gym.make_vec("MolDesign-v0", 256, bag="CH4O", energy="gfn2")  # doctest: +SKIP
        >>> obs, infos = envs.reset(seed=0)  # doctest: +SKIP
    """

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        task: Task | Mapping[str, Any] | str | None = None,
        draw: Draw | None = None,
        **config: Any,  # noqa: ANN401 - see Args
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise InputError(f"num_envs must be an integer of at least 1, not {num_envs!r}")
        self.num_envs = int(num_envs)
        self.autoreset_mode = _checked_autoreset(autoreset_mode)
        self.metadata = {**MolDesignEnv.metadata, "autoreset_mode": self.autoreset_mode}
        if max_episode_steps is not None and max_episode_steps != -1:  # Gymnasium's no limit
            if config.get("max_steps") is not None:
                raise InputError("max_episode_steps and max_steps are the same; give one of them")
            config["max_steps"] = max_episode_steps
        self.problem = Problem(build_config({} if task is None else task, config))
        self.render_mode = render_mode
        self._viewer = Viewer(render_mode, self.elements, draw)
        self.single_observation_space = observation_space(self.problem.layout)
        self.single_action_space = action_space(self.problem.layout)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.endings: Counter[str] = Counter()
        self._generators: list[np.random.Generator | None] = [None] * self.num_envs
        self._seeds = [-1] * self.num_envs
        self._samplers = [self.task.sampler() for _ in range(self.num_envs)]
        self._state: CanvasState | None = None
        self.last_state: CanvasState | None = None
        self._rewards = np.zeros(self.num_envs)
        self._ended = np.ones(self.num_envs, bool)

    def draws(self) -> list[dict[str, Any]]:
        """Return what the instances of the next episodes depend on, as plain JSON data.

        Returns:
            For each environment its seed and the states of its generator and its sampler.
        """
        generators = self.np_random  # an environment without a seed gets one here
        return [
            {"seed": seed, "generator": made.bit_generator.state, "sampler": each.sampler_state()}
            for seed, made, each in zip(self._seeds, generators, self._samplers, strict=True)
        ]

    def resume_from(self, state: CanvasState, draws: Sequence[Mapping[str, Any]]) -> None:
        """Resume B unfinished episodes, in place of the first reset.

        Args:
            state: B canvases, as :attr:`state` was when the episodes were interrupted.
            draws: what :meth:`draws` gave then.
        """
        self._state = state
        self._rewards[:], self._ended[:] = 0.0, False
        for i, of_one in enumerate(draws):
            generator, _ = seeding.np_random(0)
            generator.bit_generator.state = of_one["generator"]
            self._generators[i], self._seeds[i] = generator, of_one["seed"]
            self._samplers[i].restore_sampler(of_one["sampler"])

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes in all environments, or in those of a mask.

        Args:
            seed: seed s of the environments' generators, s + i for environment i; or B seeds.
            options: ``"bag"``, a formula or B of them, for this episode; ``"reset_mask"``, ``(B,)``
                bool with at least one True: reset only these; other options of the task.

        Returns:
            Observations and infos; see the class.

        Raises:
            InputError: if an option is unknown or does not fit, or a bag cannot be built.
            ResetNeeded: if a mask leaves out environments that were never reset.
        """
        given = to_options(options)
        mask = self._checked_mask(given.pop("reset_mask", None))
        if self._state is None and not mask.all():
            raise ResetNeeded("the first reset must be of all environments")
        tasks = self._episode_tasks(given)
        rows = np.flatnonzero(mask)
        self._seed(seed, rows)
        fresh = self._begin(rows, tasks)
        self._state = fresh if self._state is None else self._state.updated(rows, fresh)
        self._rewards[mask], self._ended[mask] = 0.0, False
        return self._observe(), self._infos(self._state, _no_reasons(self.num_envs), {}, mask)

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Place one atom on each canvas; in mode ``"NextStep"``, reset those that had ended.

        Args:
            actions: ``(B, 5)`` float32; those of environments that are reset are ignored.

        Returns:
            Observations, rewards in eV, terminations, truncations and infos; see the class.

        Raises:
            InputError: if the actions are not ``(B, 5)`` finite numbers; nothing has changed then.
            ResetNeeded: before the first reset, and in mode ``"Disabled"`` if one has ended.
        """
        before = self.state
        self._check_ongoing()
        array = checked_actions(actions, self.num_envs, ignored=self._ended)
        acting, resetting = np.flatnonzero(~self._ended), np.flatnonzero(self._ended)
        outcome = self._expand(
            transition(before[acting], array[acting], self.problem.context), acting
        )
        state, reasons = outcome.state, outcome.reason_texts
        if len(resetting):
            state = state.updated(resetting, self._begin(resetting))
        ended = outcome.reason != Reason.ONGOING
        self.endings.update(REASON_TEXTS[outcome.reason[ended]])
        self.last_state = state
        infos: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and ended.any():
            infos = self._final(state, reasons, outcome.terms, ended)
            state = state.updated(np.flatnonzero(ended), self._begin(np.flatnonzero(ended)))
            reasons[ended] = ""
            for values in outcome.terms.values():
                values[ended] = 0.0
        self._state, self._rewards = state, outcome.reward
        if self.autoreset_mode != AutoresetMode.SAME_STEP:
            self._ended = ended
        infos |= self._infos(state, reasons, outcome.terms, np.ones(self.num_envs, bool))
        rewards = outcome.reward.copy()
        return self._observe(), rewards, outcome.terminated, outcome.truncated, infos

    # A tuple with one item for each environment, as in SyncVectorEnv; the base class has one item.
    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Generators of the environments."""
        return tuple(self._generator(i) for i in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """Seeds of the environments' generators."""
        seeded = self.np_random  # an environment without a seed gets one here
        return tuple(self._seeds[: len(seeded)])

    def render(self) -> tuple[NDArray[np.uint8] | str, ...] | None:
        """Return an image or a table of each canvas; None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(
            self._viewer.render(self.state, i, float(reward))
            for i, reward in enumerate(self._rewards)
        )

    def _observe(self) -> Observation:
        return observe(self.state, self.problem.layout)

    def _seed(self, seed: int | Sequence[int | None] | None, rows: NDArray[np.intp]) -> None:
        if seed is None:
            return
        if isinstance(seed, Sequence | np.ndarray):
            seeds = [to_int(each) for each in seed]
        else:
            seeds = [to_int(seed) + i for i in range(self.num_envs)]
        if len(seeds) != self.num_envs:
            raise InputError(f"{len(seeds)} seeds for {self.num_envs} environments")
        # all are made before one is kept, so that a seed that is refused changes nothing
        made = {int(i): seeding.np_random(seeds[i]) for i in rows if seeds[i] is not None}
        for i, (generator, number) in made.items():
            self._generators[i], self._seeds[i] = generator, number
            self._samplers[i] = self.task.sampler()

    def _generator(self, i: int) -> np.random.Generator:
        generator = self._generators[i]
        if generator is None:
            generator, self._seeds[i] = seeding.np_random()
            self._generators[i] = generator
        return generator

    def _begin(
        self, rows: NDArray[np.intp], tasks: Sequence[Task | None] | None = None
    ) -> CanvasState:
        """Return the initial state of the next episodes of environments ``rows``.

        Args:
            rows: indices of environments.
            tasks: of these episodes alone, one for each of all environments, where there are any.
        """
        instances = []
        for i in rows:
            sampler: InstanceSampler = (tasks[i] if tasks else None) or self._samplers[i]
            instances.append(self.problem.draw(self._generator(i), sampler))
        return self.problem.initial_state(instances)

    def _episode_tasks(self, options: Mapping[str, Any]) -> list[Task | None] | None:
        if not options:
            return None
        bags = options.get("bag")
        bags = bags.tolist() if isinstance(bags, np.ndarray) else bags
        if isinstance(bags, str) or not isinstance(bags, Sequence):
            return [self.problem.episode_task(options)] * self.num_envs
        if len(bags) != self.num_envs:
            raise InputError(f"{len(bags)} bags for {self.num_envs} environments")
        return [self.problem.episode_task({**options, "bag": bag}) for bag in bags]

    def _expand(self, outcome: Transition, acting: NDArray[np.intp]) -> Transition:
        """Extend a transition of some environments to all, of which the others did not act."""
        if len(acting) == self.num_envs:
            return outcome
        reward, reason = np.zeros(self.num_envs), np.zeros(self.num_envs, np.int64)
        reward[acting], reason[acting] = outcome.reward, outcome.reason
        terms = {name: np.zeros(self.num_envs) for name in outcome.terms}
        for name, values in outcome.terms.items():
            terms[name][acting] = values
        failures = {int(acting[i]): text for i, text in outcome.failures.items()}
        state = self.state.updated(acting, outcome.state)
        return Transition(state, reward, reason, terms, failures)

    def _check_ongoing(self) -> None:
        if self.autoreset_mode == AutoresetMode.DISABLED and self._ended.any():
            ended = np.flatnonzero(self._ended).tolist()
            raise ResetNeeded(f"environments {ended} have ended; reset them with a reset_mask")

    def _checked_mask(self, mask: object) -> Bools:
        if mask is None:
            return np.ones(self.num_envs, bool)
        if (
            not isinstance(mask, np.ndarray)
            or mask.dtype != np.bool_
            or mask.shape != (self.num_envs,)
            or not mask.any()
        ):
            raise InputError(
                f"reset_mask must be a bool array of shape ({self.num_envs},) with a True in it"
            )
        return mask.copy()

    def _infos(
        self,
        state: CanvasState,
        reasons: NDArray[np.object_],
        terms: Mapping[str, NDArray[np.float64]],
        mask: Bools,
    ) -> dict[str, Any]:
        """Return info arrays as ``VectorEnv`` defines them, each with its mask.

        Terms that are not given are 0.
        """
        texts = np.full(len(mask), None, object)
        texts[mask] = reasons[mask]
        arrays = {
            "energy": np.where(mask, state.energy, 0.0),
            "n_atoms": np.where(mask, state.n_atoms, 0),
            "reason": texts,
        }
        for name in self.problem.context.reward.terms:
            arrays[f"reward_{name}"] = np.where(mask, terms.get(name, 0.0), 0.0)
        infos: dict[str, Any] = {}
        for key, array in arrays.items():
            infos |= {key: array, f"_{key}": mask.copy()}
        return infos

    def _final(
        self,
        state: CanvasState,
        reasons: NDArray[np.object_],
        terms: Mapping[str, NDArray[np.float64]],
        ended: Bools,
    ) -> dict[str, Any]:
        """Return the last observations and infos of episodes that ended, as in ``VectorEnv``."""
        last = observe(state[ended], self.problem.layout)
        final_obs = np.full(len(ended), None, object)
        for row, i in enumerate(np.flatnonzero(ended)):
            final_obs[i] = {key: array[row].copy() for key, array in last.items()}
        return {
            "final_obs": final_obs,
            "_final_obs": ended.copy(),
            "final_info": self._infos(state, reasons, terms, ended),
            "_final_info": ended.copy(),
        }


def _checked_autoreset(mode: str | AutoresetMode) -> AutoresetMode:
    values = [known.value for known in AutoresetMode]
    if isinstance(mode, AutoresetMode) or mode in values:
        return AutoresetMode(mode)
    raise InputError(f"unknown autoreset mode {mode!r}; {did_you_mean(str(mode), values)}")


def _no_reasons(n: int) -> NDArray[np.object_]:
    return np.full(n, "", object)
