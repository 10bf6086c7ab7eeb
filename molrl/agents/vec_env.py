"""Adapter of the vector environment to stable-baselines3."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError


class SB3VecEnv(VecEnv):
    """Adapter of a :class:`MolDesignVectorEnv` to SB3's ``VecEnv``, one energy call per step.

    Observations, rewards (eV) and infos are those of the environment. When an episode ends, the
    observation is the first one of the next episode, whose info is in ``reset_infos``; the info is
    that of the final state, with the final observation as ``info["terminal_observation"]``, and
    ``info["episode"]`` has the return ``r`` (eV), the length ``l`` and the reason of the end. SB3's
    ``Monitor`` records the same, so SB3 treats the environments as monitored. A ``VecMonitor``
    around the adapter replaces this record, with a warning.

    Args:
        env: environment in autoreset mode ``SameStep``.

    Attributes:
        env: the environment.
        returns: ``(num_envs,)`` float64, eV, returns of the current episodes so far.
        lengths: ``(num_envs,)`` int64, steps of the current episodes so far.

    Raises:
        InputError: if it is another environment, or has another autoreset mode.

    Example:
        >>> envs = MolDesignVectorEnv(64, "SameStep", bag="CH4O", energy="gfn2")  # doctest: +SKIP
        >>> PPO(CovariantPolicy, SB3VecEnv(envs)).learn(10_000)  # doctest: +SKIP
    """

    def __init__(self, env: MolDesignVectorEnv) -> None:
        if not isinstance(env, MolDesignVectorEnv):
            raise InputError(
                "SB3VecEnv adapts MolDesignVectorEnv(64, 'SameStep', bag='CH4O'), or what "
                f"gymnasium.make_vec makes, not {type(env).__name__}"
            )
        if env.autoreset_mode != AutoresetMode.SAME_STEP:
            raise InputError("SB3 needs an environment with autoreset_mode='SameStep'")
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata |= {"render_fps": env.metadata["render_fps"]}
        self._actions = np.zeros((env.num_envs, 5), np.float32)
        self.returns = np.zeros(env.num_envs)
        self.lengths = np.zeros(env.num_envs, np.int64)

    def reset(self) -> VecEnvObs:
        """Reset all environments and return their observations.

        Raises:
            InputError: if options of :meth:`set_options` do not fit, or differ in more than the
                bag; they are forgotten then.
        """
        options, seed = self._common_options(), self._seeds[0]
        self._reset_seeds()
        self._reset_options()
        observation, info = self.env.reset(seed=seed, options=options)
        self.returns[:], self.lengths[:] = 0.0, 0
        self.reset_infos = _rows(info)
        return dict(observation)

    def _common_options(self) -> dict[str, Any]:
        """Return the options of all environments as those of the vector environment."""
        first, *others = self._options
        if "reset_mask" in first:
            self._reset_options()
            raise InputError("SB3 begins all environments together; leave out the reset_mask")
        if all(each == first for each in others):
            return first
        bags = [each.get("bag") for each in self._options]
        rest = [{**each, "bag": None} for each in self._options]
        if None in bags or any(each != rest[0] for each in rest):
            self._reset_options()
            raise InputError("options of single environments may differ in their bag only")
        return {**first, "bag": bags}

    def step_async(self, actions: np.ndarray) -> None:
        """Store the actions ``(num_envs, 5)`` of the next step."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Do the step and return observations, rewards in eV, ends and infos."""
        observation, rewards, terminated, truncated, info = self.env.step(self._actions)
        ended = terminated | truncated
        self.returns += rewards
        self.lengths += 1
        infos = _rows(info)
        if ended.any():
            self._end_episodes(infos, info, truncated, np.flatnonzero(ended))
        self.returns[ended], self.lengths[ended] = 0.0, 0
        return dict(observation), rewards.astype(np.float32), ended, infos

    def _end_episodes(
        self,
        infos: list[dict[str, Any]],
        arrays: Mapping[str, Any],
        truncated: NDArray[np.bool_],
        ended: NDArray[np.intp],
    ) -> None:
        """Replace the infos of the next episodes, which go to reset_infos, by the final ones."""
        final = _rows({key: array[ended] for key, array in arrays["final_info"].items()})
        for i, last in zip(ended.tolist(), final, strict=True):
            self.reset_infos[i] = infos[i]
            infos[i] = last | {
                "terminal_observation": arrays["final_obs"][i],
                "TimeLimit.truncated": bool(truncated[i]),
                "episode": {
                    "r": float(self.returns[i]),
                    "l": int(self.lengths[i]),
                    "reason": last["reason"],
                },
            }

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Draw every canvas, each ``(height, width, 3)`` uint8.

        Raises:
            InputError: if the environment has another render mode than ``"rgb_array"``.
        """
        self._check_images()
        images: Any = self.env.render()
        return list(images)

    def render(self, mode: str | None = None) -> NDArray[np.uint8] | None:
        """Draw all canvases, tiled in one image, ``(height, width, 3)`` uint8.

        Args:
            mode: ``"rgb_array"``, ``"human"`` for a window, or None for that of the environment.

        Raises:
            InputError: if the environment has another render mode than ``"rgb_array"``.
        """
        self._check_images()
        image: NDArray[np.uint8] | None = super().render(mode)
        return image

    def _check_images(self) -> None:
        if self.render_mode != "rgb_array":
            raise InputError(
                f"there are no images with render_mode={self.render_mode!r}; make the environment "
                "with render_mode='rgb_array'"
            )

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Return an attribute of the environment, once for each index."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(
        self, attr_name: str, value: object, indices: int | Iterable[int] | None = None
    ) -> None:
        """Raise an error: single environments have no attributes.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("attributes of single environments cannot be set")

    def env_method(
        self,
        method_name: str,
        *method_args: object,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: object,
    ) -> list[Any]:
        """Raise an error: single environments have no methods.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("methods of single environments cannot be called")

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """Return True for SB3's ``Monitor``, whose record is made here, else False."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


def _rows(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Split info arrays ``(n,)`` into one dict for each environment."""
    keys = [key for key in info if f"_{key}" in info and not key.startswith("final_")]
    columns = [info[key].tolist() for key in keys]
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


class ScaledReward(VecEnvWrapper):
    """Wrapper that divides rewards for the optimiser; infos, and so logs, stay in eV.

    With returns of 30 eV the gradient of the value would dominate that of the policy, as PPO clips
    the norm of both together.

    Args:
        venv: environment with rewards in eV.
        scale: eV.

    Raises:
        InputError: if the scale is not a finite number above 0.
    """

    def __init__(self, venv: VecEnv, scale: float) -> None:
        number = isinstance(scale, int | float | np.number) and not isinstance(scale, bool)
        if not number or not 0 < scale < math.inf:
            raise InputError(f"the scale of rewards must be a number above 0, eV, not {scale!r}")
        super().__init__(venv)
        self.scale = float(scale)  # of NumPy in float64, it would make the rewards float64

    def reset(self) -> VecEnvObs:
        """Reset all environments and return their observations."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Do the step and return observations, scaled rewards, ends and infos."""
        observation, rewards, dones, infos = self.venv.step_wait()
        return observation, rewards / self.scale, dones, infos


def builder_of(env: VecEnv) -> MolDesignVectorEnv:
    """Return the environment of molrl inside the wrappers of SB3.

    Args:
        env: an :class:`SB3VecEnv`, which may be wrapped.
    """
    while isinstance(env, VecEnvWrapper):
        env = env.venv
    assert isinstance(env, SB3VecEnv)
    return env.env
