"""Environment for one molecule at a time, common to all tasks."""

from collections import Counter
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from molrl.envs.rules import ACTION_SIZE, REASON_TEXTS, Reason, checked_actions, transition
from molrl.envs.spaces import Observation, action_space, observation_space, observe
from molrl.envs.state import CanvasState
from molrl.envs.task import ResetOptions, Task
from molrl.envs.task_mixin import TaskMixin, to_int
from molrl.envs.viewer import RENDER_FPS, RENDER_MODES, Draw, Viewer
from molrl.errors import InputError, UnexpectedArgument, did_you_mean
from molrl.parts import TASKS


class MolDesignEnv(TaskMixin, gym.Env[Observation, NDArray[np.float32]]):
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
        task: a name in :data:`molrl.parts.TASKS`, or a custom class.
        draw: function that draws the images; None: molrl's renderer.
        config: fields of the task's ``Config``; of the single bag, :class:`EnvConfig
            <molrl.envs.config.EnvConfig>`: ``bag``, ``energy``, ``elements``, ``canvas_size``,
            ``rules``, ``reward``, ``max_steps``.

    Attributes:
        config: the resolved configuration.
        task: the task.
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
        self._sampler = self.task.new_sampler()
        self._state: CanvasState | None = None
        self._terms = dict.fromkeys(self.task.context.reward.terms, 0.0)
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
        parsed = self.task.parse_options(options or {})
        super().reset(seed=to_int(seed))
        if seed is not None:
            self._sampler = self.task.new_sampler()
        self._begin(parsed)
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
            raise ResetNeeded("no episode has begun; call reset() first")
        actions = checked_actions(_to_batch(action), 1)
        outcome = transition(self.state, actions, self.task.context)
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

    def _begin(self, options: ResetOptions) -> None:
        instance = self.task.draw_instance(self.np_random, self._sampler, options)
        self._state = self.task.initial_state([instance])
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


def _to_batch(action: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one action as ``(1, 5)``."""
    try:
        shape = np.shape(action)
    except ValueError:  # lists of different lengths
        shape = ()
    if shape != (ACTION_SIZE,):
        raise InputError(f"an action must have shape ({ACTION_SIZE},), not {shape}")
    return np.asarray([action])


def make_task(task: str | type[Task[Any]], config: dict[str, Any]) -> Task[Any]:
    """Return a task with its configuration.

    Args:
        task: a name in :data:`molrl.parts.TASKS`, or a class.
        config: fields of the task's ``Config``.

    Raises:
        InputError: if the task or a field is unknown, or a value does not fit.
    """
    kind: type[Task[Any]] = TASKS.load(task) if isinstance(task, str) else task
    for key in config:
        if key not in kind.Config.model_fields:
            hint = did_you_mean(key, kind.Config.model_fields)
            raise UnexpectedArgument(f"unexpected keyword argument {key!r}; {hint}")
    return kind(kind.Config.of(**config))
