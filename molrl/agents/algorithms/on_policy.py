"""The on-policy algorithms of stable-baselines3: PPO and A2C."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.utils import LinearSchedule
from torch import Tensor

from molrl.agents.algorithms.interface import (
    Algorithm,
    Infos,
    Position,
    Setup,
    restore_training,
    training_tensors,
)
from molrl.agents.algorithms.parallel import ParallelPPO
from molrl.agents.config import A2CConfig, OnPolicyConfig, PPOConfig
from molrl.agents.interface import PolicyNetwork
from molrl.agents.policy import NetworkPolicy
from molrl.errors import InputError

ConfigT = TypeVar("ConfigT", bound=OnPolicyConfig)


class OnPolicy(Algorithm, Generic[ConfigT]):
    """Base class of the adapters of SB3's on-policy algorithms.

    Learning rate and entropy coefficient change linearly during the training.

    Args:
        config: of the algorithm.
        setup: what is trained.

    Attributes:
        config: the same.
        setup: the same.
        model: the algorithm of SB3.
        logged: name in the log of SB3 to the name of the figure, which may begin with ``-``.
    """

    logged: ClassVar[Mapping[str, str]] = {
        "value_loss": "value_loss",
        "entropy_loss": "-entropy",
        "explained_variance": "explained",
    }

    def __init__(self, config: ConfigT, setup: Setup) -> None:
        self.config, self.setup = config, setup
        with warnings.catch_warnings():
            # a last minibatch that is smaller than the others is no error
            warnings.filterwarnings("ignore", "You have specified a mini-batch size", UserWarning)
            self.model = self.make_model(
                policy=NetworkPolicy,
                env=setup.env,
                policy_kwargs={"config": setup.policy},
                seed=setup.seed,
                device=setup.device,
                **config.sb3_options(),
            )

    @abstractmethod
    def make_model(self, **options: Any) -> OnPolicyAlgorithm:  # noqa: ANN401 - SB3's
        """Return the algorithm of SB3.

        Args:
            options: of SB3, from :attr:`config` and :attr:`setup`.
        """

    @property
    def network(self) -> PolicyNetwork:
        """The network that is trained."""
        policy = self.model.policy
        assert isinstance(policy, NetworkPolicy)
        return policy.network

    @property
    def steps(self) -> int:
        """Number of environment steps of this rank so far."""
        return self.model.num_timesteps

    def run(self, on_step: Callable[[Infos], None], on_update: Callable[[], None]) -> None:
        """Train until the end; see :meth:`Algorithm.run`."""
        done = self.model.num_timesteps
        self.model.learn(
            self.setup.total_steps - done,
            callback=CallbackList([_Hooks(self, on_step, on_update), *self.setup.callbacks]),
            reset_num_timesteps=not done,
        )

    def figures(self) -> dict[str, float]:
        """Return figures of the last update: losses, entropy in nats, explained variance."""
        logged = self.model.logger.name_to_value
        found = {}
        for key, name in self.logged.items():
            value = float(logged.get(f"train/{key}", np.nan))
            found[name.removeprefix("-")] = -value if name.startswith("-") else value
        return found

    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights, the optimiser and the number of updates."""
        policy = self.model.policy
        return training_tensors(policy, policy.optimizer), {"n_updates": self.model._n_updates}

    def restore(
        self, position: Position, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> None:
        """Restore a snapshot; see :meth:`Algorithm.restore`."""
        model, policy = self.model, self.model.policy
        restore_training(policy, policy.optimizer, tensors)
        model.num_timesteps, model._n_updates = position.steps, state["n_updates"]
        model._update_current_progress_remaining(position.steps, self.setup.total_steps)
        model._last_obs = position.observation
        model._last_episode_starts = position.starts

    def _entropy_coefficient(self) -> float:
        schedule = LinearSchedule(self.config.ent_coef, self.config.final_ent_coef, 1.0)
        return schedule(1.0 - self.model.num_timesteps / self.setup.total_steps)


class PPOAlgorithm(OnPolicy[PPOConfig]):
    """PPO of stable-baselines3, on one rank or on several."""

    logged = {  # noqa: RUF012 - a ClassVar, as in the base class
        "value_loss": "value_loss",
        "approx_kl": "kl",
        "entropy_loss": "-entropy",
        "explained_variance": "explained",
    }

    def make_model(self, **options: Any) -> PPO:  # noqa: ANN401 - SB3's
        """Return PPO; on several ranks the one that averages over them."""
        if self.setup.ranks.size == 1:
            return PPO(**options)
        return ParallelPPO(ranks=self.setup.ranks, **options)


class A2CAlgorithm(OnPolicy[A2CConfig]):
    """A2C of stable-baselines3, on one rank."""

    def make_model(self, **options: Any) -> A2C:  # noqa: ANN401 - SB3's
        """Return A2C.

        Raises:
            InputError: if there are several ranks.
        """
        if self.setup.ranks.size > 1:
            raise InputError("a2c trains on one rank; on several, train with ppo")
        return A2C(**options)


class _Hooks(BaseCallback):
    """Callback that sets the entropy coefficient, and calls the functions of the run.

    SB3 has no hook after an update: it is reported when the next rollout starts, or at the end.
    """

    def __init__(
        self,
        algorithm: OnPolicy[Any],
        on_step: Callable[[Infos], None],
        on_update: Callable[[], None],
    ) -> None:
        super().__init__()
        self.algorithm, self.take_step, self.take_update = algorithm, on_step, on_update
        self.reported = algorithm.steps

    def _on_step(self) -> bool:
        self.take_step(self.locals["infos"])
        return True

    def _on_rollout_start(self) -> None:
        self._report()

    def _on_rollout_end(self) -> None:
        self.algorithm.model.ent_coef = self.algorithm._entropy_coefficient()

    def _on_training_end(self) -> None:
        self._report()

    def _report(self) -> None:
        if self.algorithm.steps > self.reported:
            self.reported = self.algorithm.steps
            self.take_update()
