"""The environments of one molecule at a time: what is common to all tasks."""

from collections import Counter
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from molrl.envs.rules import ACTION_SIZE, REASON_TEXTS, Reason, checked_actions, transition
from molrl.envs.spaces import Observation, action_space, observation_space, observe
from molrl.envs.state import CanvasState
from molrl.envs.task import TASKS, ResetOptions, Task
from molrl.envs.task_mixin import TaskMixin, plain_seed
from molrl.envs.viewer import RENDER_FPS, RENDER_MODES, Draw, Viewer
from molrl.errors import InputError, UnexpectedArgument, did_you_mean


class MolDesignEnv(TaskMixin, gym.Env[Observation, NDArray[np.float32]]):
    """Take the atoms of a bag one by one and place them in space; physics pays.

    N is ``canvas_size``, E the number of ``elements``. Lengths in Å, energies in eV. What differs
    in other tasks than the single bag stands at :data:`molrl.envs.task.TASKS`.

    Observation: a dict of
        ``numbers (N,)`` int64, atomic numbers in the order of placement, 0 = empty slot;
        ``positions (N, 3)`` float32, the first atom at the origin;
        ``bag (E,)`` int64, atoms left of each element, in the order of ``elements``;
        ``focus_mask (N,)`` int8, the slots that hold an atom (slot 0 on an empty canvas);
        ``element_mask (E,)`` int8, the elements left in the bag.

    Action: ``(5,)`` float32: focus slot, index into ``elements`` (each rounded to the nearest
        integer), and the displacement dx, dy, dz of the new atom from the focal one. The first
        atom on an empty canvas goes to the origin; focus and displacement are then ignored.

    Reward: r = E(canvas) + E(atom) - E(canvas + atom), eV; 0 for the first atom. The return of a
        complete episode is the atomisation energy. Refused, rejected or failed: ``min_reward``.
        ``reward={"atomisation": 1.0, "valid": 2.0}`` pays other terms instead; the energy
        difference still judges every step.

    Termination: the bag is empty ("complete"); the action is refused ("element not in bag", "focus
        on an empty slot", "out of bounds", "clash", "solo atom"), which leaves the canvas as it
        was; the atom is rejected for its energy difference ("energy rise too large", "energy drop
        too large") or because the energy model is not certain of it ("uncertain"); the energy or a
        reward term cannot be had ("energy failed: ...", "reward failed: ...").

    Truncation: ``max_steps`` atoms are placed and the bag is not empty ("step limit").

    Info: ``energy`` float, of the canvas; ``n_atoms`` int; ``reason`` str, why the episode ended,
        "" while it goes on; ``reward_NAME`` float for each reward term, what it paid.

    Options of ``reset``: ``{"bag": "C2H6O"}`` chooses the bag of this one episode.

    Random: bags, where the task draws them, from ``np_random``; nothing else. A pickle holds the
    configuration, not a model named by a string.

    Args:
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        task: a name in :data:`molrl.envs.task.TASKS`, or a class of one's own.
        draw: draws the pictures, in place of molrl's renderer.
        config: the fields of the task's ``Config``: of the single bag, :class:`EnvConfig
            <molrl.envs.config.EnvConfig>`: ``bag``, ``energy``, ``elements``, ``canvas_size``,
            ``rules``, ``reward``, ``max_steps``.

    Attributes:
        config: the resolved configuration.
        task: what it is an environment of.
        endings: how many episodes ended for each :class:`molrl.envs.rules.Reason`, by its text.

    Raises:
        InputError: if an argument is not known or does not fit, or the bag cannot be built.

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
        task: str | type[Task[Any]] = "bag",
        draw: Draw | None = None,
        **config: Any,  # noqa: ANN401 - see Args
    ) -> None:
        self.render_mode = render_mode
        self.task = make_task(task, config)
        self.config = self.task.config
        self._viewer = Viewer(render_mode, self.task.elements, draw)
        self.observation_space: gym.Space[Any] = observation_space(self.task.layout)
        self.action_space: gym.Space[Any] = action_space(self.task.layout)
        self.endings: Counter[str] = Counter()
        self._source = self.task.new_sampler()
        self._state: CanvasState | None = None
        self._terms = dict.fromkeys(self.task.game.reward.terms, 0.0)
        self._reward = 0.0
        self._ended = True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Clear the canvas and fill the bag.

        Args:
            seed: of ``np_random``.
            options: ``"bag"``, a formula for this episode, and what else the task lets one choose.

        Raises:
            InputError: if an option is not known or does not fit.
        """
        chosen = self.task.choose(options or {})
        super().reset(seed=plain_seed(seed))
        if seed is not None:
            self._source = self.task.new_sampler()
        self._begin(chosen)
        return self._observe(), self._info("")

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Place one atom.

        Raises:
            InputError: if the action is not 5 finite numbers; nothing has changed then.
            ResetNeeded: if there is no episode, or it has ended.
        """
        if self._ended:
            raise ResetNeeded("there is no episode going on; call reset() first")
        actions = checked_actions(_row(action), 1)
        outcome = transition(self.state, actions, self.task.game)
        reason = int(outcome.reason[0])
        self._state, self._reward = outcome.state, float(outcome.reward[0])
        self._terms = {name: float(values[0]) for name, values in outcome.terms.items()}
        self._ended = reason != Reason.GOING_ON
        if self._ended:
            self.endings[REASON_TEXTS[reason]] += 1
        terminated, truncated = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        info = self._info(outcome.reason_texts[0])
        return self._observe(), self._reward, terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | str | None:
        """The canvas as an image ``(height, width, 3)`` uint8 or a table; None without a mode."""
        if self.render_mode is None:
            return None
        return self._viewer.render(self.state, 0, self._reward)

    def _begin(self, chosen: ResetOptions) -> None:
        self._state = self.task.state([self.task.begin(self.np_random, self._source, chosen)])
        self._terms = dict.fromkeys(self._terms, 0.0)
        self._reward, self._ended = 0.0, False

    def _observe(self) -> Observation:
        return {key: array[0] for key, array in observe(self.state, self.task.layout).items()}

    def _info(self, reason: str) -> dict[str, Any]:
        return {
            "energy": float(self.state.energy[0]),
            "n_atoms": int(self.state.n_atoms[0]),
            "reason": reason,
            **{f"reward_{name}": value for name, value in self._terms.items()},
        }


def _row(action: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(1, 5)``."""
    try:
        shape = np.shape(action)
    except ValueError:  # lists of several lengths
        shape = ()
    if shape != (ACTION_SIZE,):
        raise InputError(f"an action must have shape ({ACTION_SIZE},), not {shape}")
    return np.asarray([action])


def make_task(task: str | type[Task[Any]], config: dict[str, Any]) -> Task[Any]:
    """A task by name or class, with its configuration.

    Raises:
        InputError: if there is no such task, or an argument is not known or does not fit.
    """
    kind: type[Task[Any]] = TASKS.load(task) if isinstance(task, str) else task
    for key in config:
        if key not in kind.Config.model_fields:
            hint = did_you_mean(key, kind.Config.model_fields)
            raise UnexpectedArgument(f"unexpected keyword argument {key!r}; {hint}")
    return kind(kind.Config.of(**config))
