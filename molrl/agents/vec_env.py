"""The native vector environment as stable-baselines3 wants one."""

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
    """A :class:`MolDesignVectorEnv` behind SB3's ``VecEnv``: one energy call a step.

    Observations, rewards (eV) and infos are the environment's own. An episode that ends is followed
    by the first observation of the next, whose info is in ``reset_infos``. The info of that step is
    the one of the final state, with its observation as ``info["terminal_observation"]``, and
    ``info["episode"]`` holds the episode's return ``r`` (eV), its length ``l`` and why it ended:
    what SB3's ``Monitor`` records, so that SB3 sees one in every environment. A ``VecMonitor``
    around it replaces that record, and warns that it does.

    Args:
        env: in autoreset mode ``SameStep``.

    Attributes:
        env: the environment.
        returns: ``(num_envs,)`` float64, eV, of the episodes under way, so far.
        lengths: ``(num_envs,)`` int64, their steps so far.

    Raises:
        InputError: if it is in another mode.
    """

    def __init__(self, env: MolDesignVectorEnv) -> None:
        if env.autoreset_mode != AutoresetMode.SAME_STEP:
            raise InputError("SB3 needs autoreset_mode='SameStep'")
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata |= {"render_fps": env.metadata["render_fps"]}
        self._actions = np.zeros((env.num_envs, 5), np.float32)
        self.returns = np.zeros(env.num_envs)
        self.lengths = np.zeros(env.num_envs, np.int64)

    def reset(self) -> VecEnvObs:
        """Start all episodes."""
        self.returns[:], self.lengths[:] = 0.0, 0
        if any(self._options):
            raise InputError("the environments of a batch share their options; name them in config")
        observation, info = self.env.reset(seed=self._seeds[0])
        self.reset_infos = _rows(info)
        self._reset_seeds()
        return dict(observation)

    def step_async(self, actions: np.ndarray) -> None:
        """Take the actions ``(num_envs, 5)`` of the next step."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Do the step."""
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
        """Put the final infos in place of those of the next episodes, which go to reset_infos."""
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
            mode: ``"rgb_array"``, ``"human"`` to show it in a window, or the environment's own.

        Raises:
            InputError: as :meth:`get_images`.
        """
        self._check_images()
        image: NDArray[np.uint8] | None = super().render(mode)
        return image

    def _check_images(self) -> None:
        if self.render_mode != "rgb_array":
            raise InputError(
                f"no images are drawn with render_mode={self.render_mode!r}; make the environment "
                "with render_mode='rgb_array'"
            )

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """An attribute of the environment, once for each index."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(
        self, attr_name: str, value: object, indices: int | Iterable[int] | None = None
    ) -> None:
        """Refused: the environments are one."""
        raise NotImplementedError("the environments of a batch share their attributes")

    def env_method(
        self,
        method_name: str,
        *method_args: object,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: object,
    ) -> list[Any]:
        """Refused: the environments are one."""
        raise NotImplementedError("the environments of a batch have no methods of their own")

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """Return True for SB3's ``Monitor``, whose work is done here; there is no other wrapper."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]


def _rows(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Split the info arrays ``(n,)`` of n environments into a dict for each."""
    keys = [key for key in info if f"_{key}" in info and not key.startswith("final_")]
    columns = [info[key].tolist() for key in keys]
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


class ScaledReward(VecEnvWrapper):
    """Divides rewards for the optimiser; infos, and so logs, stay in eV.

    Returns of 30 eV make the value's gradient drown the policy's under PPO's norm clipping.

    Args:
        venv: pays in eV.
        scale: eV.
    """

    def __init__(self, venv: VecEnv, scale: float) -> None:
        super().__init__(venv)
        self.scale = scale

    def reset(self) -> VecEnvObs:
        """Start all episodes."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Do the step."""
        observation, rewards, dones, infos = self.venv.step_wait()
        return observation, rewards / self.scale, dones, infos
