"""The native vector environment as stable-baselines3 wants one."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError


class SB3VecEnv(VecEnv):
    """A :class:`MolDesignVectorEnv` behind SB3's ``VecEnv``: one energy call a step.

    Observations and rewards (eV) are the environment's own. An episode that ends is followed by
    the first observation of the next; its last is in ``info["terminal_observation"]``, and
    ``info["episode"]`` holds its return ``r`` (eV), its length ``l`` and why it ended.

    Args:
        env: in autoreset mode ``SameStep``.

    Attributes:
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
        self._actions = np.zeros((env.num_envs, 5), np.float32)
        self.returns = np.zeros(env.num_envs)
        self.lengths = np.zeros(env.num_envs, np.int64)

    def reset(self) -> VecEnvObs:
        """Start all episodes."""
        self.returns[:], self.lengths[:] = 0.0, 0
        if any(self._options):
            raise InputError("the environments of a batch share their options; name them in config")
        observation, _ = self.env.reset(seed=self._seeds[0])
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
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(ended):
            infos[i] = {
                "terminal_observation": info["final_obs"][i],
                "TimeLimit.truncated": bool(truncated[i]),
                "episode": {
                    "r": float(self.returns[i]),
                    "l": int(self.lengths[i]),
                    "reason": info["final_info"]["reason"][i],
                },
            }
        self.returns[ended], self.lengths[ended] = 0.0, 0
        return dict(observation), rewards.astype(np.float32), ended, infos

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
        """No wrapper is inside."""
        return [False for _ in self._get_indices(indices)]


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
