"""MolDesign-v0: build a molecule from a bag of atoms, one molecule at a time."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from molrl.energy import EnergyModel
from molrl.envs.config import EnvConfig
from molrl.envs.rules import REASON_TEXTS, Reason, checked_actions, transition
from molrl.envs.spaces import Observation, observe
from molrl.envs.task import DesignTask
from molrl.envs.viewer import RENDER_FPS, RENDER_MODES, checked_mode, render
from molrl.errors import InputError, did_you_mean


class MolDesignEnv(gym.Env[Observation, NDArray[np.float32]]):
    """Take the atoms of a bag one by one and place them in space; physics pays.

    N is ``canvas_size``, E the number of ``elements``. Lengths in Å, energies in eV.

    Observation: a dict of
        ``numbers (N,)`` int64, atomic numbers in the order of placement, 0 = empty slot;
        ``positions (N, 3)`` float32, the first atom at the origin;
        ``bag (E,)`` int64, atoms left of each element, in the order of ``elements``;
        ``focus_mask (N,)`` int8, the slots that hold an atom (slot 0 on an empty canvas);
        ``element_mask (E,)`` int8, the elements left in the bag.

    Action: ``(5,)`` float32: focus slot, index into ``elements`` (each rounded to the nearest
        integer), and the displacement dx, dy, dz of the new atom from the focal one. The first
        atom goes to the origin; focus and displacement are then ignored.

    Reward: r = E(canvas) + E(atom) - E(canvas + atom), eV; 0 for the first atom. The return of a
        complete episode is the atomisation energy. Refused, rejected or failed: ``min_reward``.

    Termination: the bag is empty ("complete"); the action is refused ("element not in bag", "focus
        on an empty slot", "out of bounds", "clash", "solo atom"), which leaves the canvas as it
        was; the atom is rejected for what it pays ("energy rise too large", "energy drop too
        large"); the energy cannot be had ("energy failed: ..."). Never truncated.

    Info: ``energy`` float, of the canvas; ``n_atoms`` int; ``reason`` str, why the episode ended,
        "" while it goes on.

    Options of ``reset``: ``{"bag": "C2H6O"}`` chooses the bag of this one episode.

    Nothing is drawn at random. A pickle holds the configuration, not a model named by a string.

    Args:
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        config: the fields of :class:`molrl.envs.config.EnvConfig`: ``bag``, ``energy``,
            ``elements``, ``canvas_size``, ``rules``.

    Attributes:
        config: the resolved configuration.
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

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:  # noqa: ANN401 - see Args
        self.render_mode = checked_mode(render_mode)
        self.config = EnvConfig.of(**config)
        self._task = DesignTask(self.config)
        self.observation_space: gym.Space[Any] = self._task.observation_space
        self.action_space: gym.Space[Any] = self._task.action_space
        self.endings: Counter[str] = Counter()
        self._state = self._task.start(self._task.bag[None])
        self._reward = 0.0
        self._ended = True

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers an action chooses among, ascending."""
        return self._task.elements

    @property
    def energy_model(self) -> EnergyModel:
        """What pays."""
        return self._task.energy_model

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Clear the canvas and fill the bag.

        Args:
            seed: of ``np_random``.
            options: ``"bag"``, a formula for this episode; without it the bag of the environment.

        Raises:
            InputError: if an option is not known or the bag cannot be built.
        """
        super().reset(seed=seed)
        bag = checked_options(options, ("bag",)).get("bag")
        counts = self._task.bag if bag is None else self._task.counts(bag)
        self._state = self._task.start(counts[None])
        self._reward, self._ended = 0.0, False
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
        actions = checked_actions([action], 1)
        outcome = transition(self._state, actions, self._task.game)
        reason = int(outcome.reason[0])
        self._state, self._reward = outcome.state, float(outcome.reward[0])
        self._ended = reason != Reason.GOING_ON
        if self._ended:
            self.endings[REASON_TEXTS[reason]] += 1
        info = self._info(outcome.reason_texts[0])
        return self._observe(), self._reward, self._ended, False, info

    def render(self) -> NDArray[np.uint8] | str | None:
        """The canvas as an image ``(height, width, 3)`` uint8 or a table; None without a mode."""
        if self.render_mode is None:
            return None
        return render(self.render_mode, self._state, 0, self.elements, self._reward)

    def _observe(self) -> Observation:
        return {key: array[0] for key, array in observe(self._state).items()}

    def _info(self, reason: str) -> dict[str, Any]:
        return {
            "energy": float(self._state.energy[0]),
            "n_atoms": int(self._state.n_atoms[0]),
            "reason": reason,
        }


def checked_options(options: Mapping[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """The options of a reset, if they are known.

    Raises:
        InputError: if one is not.
    """
    for key in options or {}:
        if key not in known:
            raise InputError(f"reset has no option {key!r}; {did_you_mean(str(key), known)}")
    return dict(options or {})
