"""Environment for one molecule at a time, common to all tasks."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from molrl.envs.config import build_config
from molrl.envs.problem import Problem
from molrl.envs.problem_mixin import ProblemMixin, to_int, to_options
from molrl.envs.rules import ACTION_SIZE, REASON_TEXTS, Reason, checked_actions, transition
from molrl.envs.spaces import Observation, action_space, observation_space, observe
from molrl.envs.state import CanvasState
from molrl.envs.viewer import RENDER_FPS, RENDER_MODES, Draw, Viewer
from molrl.errors import InputError
from molrl.tasks import InstanceSampler, Task


class MolDesignEnv(ProblemMixin, gym.Env[Observation, NDArray[np.float32]]):
    """Environment in which the atoms of a bag are placed in space one by one.

    The reward comes from the energy of the growing molecule. N is ``canvas_size``, E the number of
    ``elements``. Lengths in Å, energies in eV. The docstrings of the tasks in
    :data:`molrl.parts.TASKS` say what differs from the single bag.

    Observation: a dict of
        ``numbers (N,)`` int64, atomic numbers in the order of placement, 0 = empty slot;
        ``positions (N, 3)`` float32, the first atom at the origin;
        ``bag (E,)`` int64, number of atoms of each element left, in the order of ``elements``;
        ``focus_mask (N,)`` int8, the slots that hold an atom (slot 0 on an empty canvas);
        ``element_mask (E,)`` int8, the elements left in the bag.

    Action: ``(5,)`` float32: focus slot, index into ``elements`` (each rounded to the nearest
        integer), and the displacement dx, dy, dz of the new atom from the focal atom. The first
        atom on an empty canvas is placed at the origin; focus and displacement are then ignored.

    Reward: r = E(canvas) + E(atom) - E(canvas + atom), eV; 0 for the first atom. The return of a
        complete episode is the atomisation energy. ``min_reward`` if the action is refused, the
        atom rejected, or an energy or a reward term failed. ``reward={"atomisation": 1.0,
        "valid": 2.0}`` selects other reward terms; atoms are still rejected by r.

    Termination: the bag is empty ("complete"); the action is refused ("element not in bag", "focus
        on an empty slot", "out of bounds", "clash", "monovalent atom": an H, F, Cl or Br too far
        from every atom that is not one of them), which leaves the canvas as it was; the atom is
        rejected for its energy difference ("energy rise too large", "energy drop too large") or for
        the uncertainty of the energy model ("uncertain"); the energy or a reward term is not
        available ("energy failed: ...", "reward failed: ...").

    Truncation: ``max_steps`` atoms are placed and the bag is not empty ("step limit").

    Info: ``energy`` float, of the canvas; ``n_atoms`` int; ``reason`` str, why the episode ended,
        "" before; ``reward_NAME`` float, value of each reward term times its weight.

    Options of ``reset``: ``{"bag": "C2H6O"}`` sets the bag of this one episode.

    Randomness: bags, where the task draws them, from ``np_random``; nothing else. A pickle contains
    the configuration, but no model that is named by a string.

    Args:
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        task: what to make: a task, the mapping of its fields, or a formula; see
            :func:`molrl.tasks.parse_task`. None: the task of one bag.
        draw: function that draws the images; None: molrl's renderer.
        config: fields of :class:`molrl.envs.config.EnvConfig`: ``energy``, ``elements``,
            ``canvas_size``, ``rules``, ``reward``, ``max_steps``; and, unless ``task`` has them,
            the fields of the task: of the single bag ``bag``.

    Attributes:
        problem: the task with the energy, the rules and the reward.
        endings: number of episodes that ended for each :class:`molrl.envs.rules.Reason`, by its
            text.

    Raises:
        InputError: if an argument is unknown or does not fit, or the bag cannot be built.

    Example:
        >>> env = gym.make("MolDesign-v0", bag="CH4O", energy="gfn2")  # doctest: +SKIP
        >>> obs, info = env.reset(seed=0, options={"bag": "C2H6O"})  # doctest: +SKIP
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # an instance variable there
        "render_modes": list(RENDER_MODES),
        "render_fps": RENDER_FPS,
    }

    def __init__(
        self,
        render_mode: str | None = None,
        task: Task | Mapping[str, Any] | str | None = None,
        draw: Draw | None = None,
        **config: Any,  # noqa: ANN401 - see Args
    ) -> None:
        self.render_mode = render_mode
        self.problem = Problem(build_config({} if task is None else task, config))
        self._viewer = Viewer(render_mode, self.elements, draw)
        self.observation_space: gym.Space[Any] = observation_space(self.problem.layout)
        self.action_space: gym.Space[Any] = action_space(self.problem.layout)
        self.endings: Counter[str] = Counter()
        self._sampler = self.task.sampler()
        self._state: CanvasState | None = None
        self._terms = dict.fromkeys(self.problem.context.reward.terms, 0.0)
        self._reward = 0.0
        self._ended = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode: clear the canvas and fill the bag.

        Args:
            seed: seed of ``np_random``; None keeps it as it is.
            options: ``"bag"``, the formula of this episode, and other options of the task.

        Returns:
            Observation and info; see the class.

        Raises:
            InputError: if an option is unknown or does not fit.
        """
        task = self.problem.episode_task(to_options(options))
        super().reset(seed=to_int(seed))
        if seed is not None:
            self._sampler = self.task.sampler()
        self._begin(task or self._sampler)
        return self._observe(), self._info("")

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place one atom.

        Args:
            action: ``(5,)`` float32: focus slot, element index, dx, dy, dz in Å.

        Returns:
            Observation, reward in eV, terminated, truncated, and info; see the class.

        Raises:
            InputError: if the action is not 5 finite numbers; nothing has changed then.
            ResetNeeded: if no episode has begun, or it has ended.
        """
        if self._ended:
            what = "no episode has begun" if self._state is None else "the episode has ended"
            raise ResetNeeded(f"{what}; call reset() first")
        actions = checked_actions(_to_batch(action), 1)
        outcome = transition(self.state, actions, self.problem.context)
        reason = int(outcome.reason[0])
        self._state, self._reward = outcome.state, float(outcome.reward[0])
        self._terms = {name: float(values[0]) for name, values in outcome.terms.items()}
        self._ended = reason != Reason.ONGOING
        if self._ended:
            self.endings[REASON_TEXTS[reason]] += 1
        terminated, truncated = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        info = self._info(outcome.reason_texts[0])
        return self._observe(), self._reward, terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | str | None:
        """Return an image ``(height, width, 3)`` uint8 or a table; None without a render mode."""
        if self.render_mode is None:
            return None
        return self._viewer.render(self.state, 0, self._reward)

    def _begin(self, sampler: InstanceSampler) -> None:
        instance = self.problem.draw(self.np_random, sampler)
        self._state = self.problem.initial_state([instance])
        self._terms = dict.fromkeys(self._terms, 0.0)
        self._reward, self._ended = 0.0, False

    def _observe(self) -> Observation:
        return {key: array[0] for key, array in observe(self.state, self.problem.layout).items()}

    def _info(self, reason: str) -> dict[str, Any]:
        return {
            "energy": float(self.state.energy[0]),
            "n_atoms": int(self.state.n_atoms[0]),
            "reason": reason,
            **{f"reward_{name}": value for name, value in self._terms.items()},
        }


def _to_batch(action: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one action as ``(1, 5)``."""
    try:
        shape = np.shape(action)
    except ValueError:  # lists of different lengths
        shape = ()
    if shape != (ACTION_SIZE,):
        raise InputError(f"an action must have shape ({ACTION_SIZE},), not {shape}")
    return np.asarray([action])
