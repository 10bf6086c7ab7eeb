"""MolDesign-v0 for many molecules at once: one batched energy evaluation a step."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from molrl.energy import EnergyModel
from molrl.envs.config import EnvConfig
from molrl.envs.design import MolDesignEnv, checked_options
from molrl.envs.rules import REASON_TEXTS, Reason, checked_actions, transition
from molrl.envs.spaces import Observation, observe
from molrl.envs.state import CanvasState
from molrl.envs.task import DesignTask
from molrl.envs.viewer import checked_mode, render
from molrl.errors import InputError, did_you_mean

Bools = NDArray[np.bool_]


class MolDesignVectorEnv(VectorEnv[Observation, NDArray[np.float32], NDArray[Any]]):
    """B environments of :class:`molrl.envs.design.MolDesignEnv` in one transition.

    Step for step the same as ``SyncVectorEnv`` over single ones, but a step costs one batched
    evaluation of the energy, of the canvases that got an atom besides their first.

    Observation, action, reward, termination and info: those of the single environment with a first
        axis B; rewards ``(B,)`` float64, terminations and truncations ``(B,)`` bool. Each ``info``
        array has a mask ``_<key>`` that says where it holds.

    Autoreset: ``"NextStep"`` (the default), ``"SameStep"`` (the last observation and info go to
        ``info["final_obs"]`` and ``info["final_info"]``), ``"Disabled"`` (reset what has ended
        with ``reset(options={"reset_mask": mask})``, mask ``(B,)`` bool).

    Options of ``reset``: ``{"bag": "C2H6O"}``, or a list of B formulas, for this one episode.

    Args:
        num_envs: B.
        autoreset_mode: an ``AutoresetMode`` or its value.
        render_mode: ``"rgb_array"``, ``"ansi"`` or None.
        config: the fields of :class:`molrl.envs.config.EnvConfig`.

    Attributes:
        config: the resolved configuration.
        endings: how many episodes ended for each :class:`molrl.envs.rules.Reason`, by its text.

    Raises:
        InputError: if an argument is not known or does not fit, or the bag cannot be built.
    """

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **config: Any,  # noqa: ANN401 - see Args
    ) -> None:
        if type(num_envs) is not int or num_envs < 1:
            raise InputError(f"num_envs is a number of environments, at least 1, not {num_envs!r}")
        self.num_envs = num_envs
        self.autoreset_mode = _checked_autoreset(autoreset_mode)
        self.metadata = {**MolDesignEnv.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = checked_mode(render_mode)
        self.config = EnvConfig.of(**config)
        self._task = DesignTask(self.config)
        self.single_observation_space = self._task.observation_space
        self.single_action_space = self._task.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.endings: Counter[str] = Counter()
        self._state = self._start(num_envs)
        self._rewards = np.zeros(num_envs)
        self._ended = np.ones(num_envs, bool)
        self._started = False

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers an action chooses among, ascending."""
        return self._task.elements

    @property
    def energy_model(self) -> EnergyModel:
        """What pays."""
        return self._task.energy_model

    @property
    def state(self) -> CanvasState:
        """The canvases as they stand, for :meth:`go_on_from`."""
        return self._state

    def go_on_from(self, state: CanvasState) -> None:
        """Take up B episodes that are under way, in place of the first reset."""
        self._state = state
        self._rewards[:], self._ended[:], self._started = 0.0, False, True

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Clear all canvases, or those of a mask, and fill their bags.

        Args:
            seed: of ``np_random``.
            options: ``"bag"``, a formula or B of them, for this episode; ``"reset_mask"``, ``(B,)``
                bool with at least one True: reset only these.

        Raises:
            InputError: if an option is not known, does not fit, or a bag cannot be built.
            ResetNeeded: if a mask leaves out environments that were never reset.
        """
        given = checked_options(options, ("bag", "reset_mask"))
        mask = self._checked_mask(given.get("reset_mask"))
        if not (self._started or mask.all()):
            raise ResetNeeded("the first reset must be of all environments")
        bags = self._bags(given.get("bag"))
        super().reset(seed=seed)
        self._state = self._state.updated(mask, self._task.start(bags[mask]))
        self._rewards[mask], self._ended[mask], self._started = 0.0, False, True
        return observe(self._state), _infos(self._state, _no_reasons(self.num_envs), mask)

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[Observation, NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Place one atom on each canvas; in mode ``"NextStep"``, reset those that had ended.

        Args:
            actions: ``(B, 5)`` float32; those of environments that reset are ignored.

        Raises:
            InputError: if the actions are not ``(B, 5)`` finite numbers; nothing has changed then.
            ResetNeeded: before the first reset, and in mode ``"Disabled"`` if one has ended.
        """
        self._check_started()
        array = checked_actions(actions, self.num_envs, ignored=self._ended)
        acting, waiting = np.flatnonzero(~self._ended), np.flatnonzero(self._ended)
        outcome = transition(self._state[acting], array[acting], self._task.game)
        state = self._state.updated(acting, outcome.state)
        if len(waiting):
            state = state.updated(waiting, self._start(len(waiting)))
        reasons = _no_reasons(self.num_envs)
        reasons[acting] = outcome.reason_texts
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        rewards[acting] = outcome.reward
        terminated[acting] = outcome.reason != Reason.GOING_ON
        self.endings.update(REASON_TEXTS[outcome.reason[outcome.reason != Reason.GOING_ON]])
        infos: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and terminated.any():
            infos = _final(state, reasons, terminated)
            ended = np.flatnonzero(terminated)
            state = state.updated(ended, self._start(len(ended)))
            reasons[ended] = ""
        self._state, self._rewards = state, rewards
        if self.autoreset_mode != AutoresetMode.SAME_STEP:
            self._ended = terminated
        infos |= _infos(state, reasons, np.ones(self.num_envs, bool))
        return observe(state), rewards.copy(), terminated.copy(), np.zeros_like(terminated), infos

    def render(self) -> tuple[NDArray[np.uint8] | str, ...] | None:
        """Each canvas as an image or a table, as in the single one; None without a mode."""
        if self.render_mode is None:
            return None
        return tuple(
            render(self.render_mode, self._state, i, self.elements, float(reward))
            for i, reward in enumerate(self._rewards)
        )

    def _start(self, n: int) -> CanvasState:
        return self._task.start(np.tile(self._task.bag, (n, 1)))

    def _check_started(self) -> None:
        if not self._started:
            raise ResetNeeded("there is no episode going on; call reset() first")
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

    def _bags(self, bag: object) -> NDArray[np.int64]:
        if bag is None:
            return np.tile(self._task.bag, (self.num_envs, 1))
        if isinstance(bag, Sequence) and not isinstance(bag, str):
            if len(bag) != self.num_envs:
                raise InputError(f"{len(bag)} bags for {self.num_envs} environments")
            return np.stack([self._task.counts(one) for one in bag])
        return np.tile(self._task.counts(bag), (self.num_envs, 1))


def _checked_autoreset(mode: str | AutoresetMode) -> AutoresetMode:
    values = [known.value for known in AutoresetMode]
    if isinstance(mode, AutoresetMode) or mode in values:
        return AutoresetMode(mode)
    raise InputError(f"no autoreset mode is called {mode!r}; {did_you_mean(str(mode), values)}")


def _no_reasons(n: int) -> NDArray[np.object_]:
    return np.full(n, "", object)


def _infos(state: CanvasState, reasons: NDArray[np.object_], mask: Bools) -> dict[str, Any]:
    """Info arrays as ``VectorEnv`` defines them: each with a mask, nothing where that is False."""
    texts = np.full(len(mask), None, object)
    texts[mask] = reasons[mask]
    return {
        "energy": np.where(mask, state.energy, 0.0),
        "_energy": mask.copy(),
        "n_atoms": np.where(mask, state.n_atoms, 0),
        "_n_atoms": mask.copy(),
        "reason": texts,
        "_reason": mask.copy(),
    }


def _final(state: CanvasState, reasons: NDArray[np.object_], ended: Bools) -> dict[str, Any]:
    """The last observation and info of what has ended, as ``VectorEnv`` defines them."""
    last = observe(state[ended])
    final_obs = np.full(len(ended), None, object)
    for row, i in enumerate(np.flatnonzero(ended)):
        final_obs[i] = {key: array[row].copy() for key, array in last.items()}
    return {
        "final_obs": final_obs,
        "_final_obs": ended.copy(),
        "final_info": _infos(state, reasons, ended),
        "_final_info": ended.copy(),
    }
