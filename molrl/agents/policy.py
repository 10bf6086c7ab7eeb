"""The covariant actor-critic as a policy of stable-baselines3."""

from typing import Any, NoReturn

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from molrl.agents.config import PolicyConfig
from molrl.agents.network import Actor, CovariantNetwork
from molrl.agents.rollout import N_NOISE
from molrl.errors import InputError
from molrl.runs.config import parse_config


class MissingActor(InputError, AttributeError):
    """Off-policy algorithms ask for a network that the policy does not have."""


class CovariantPolicy(ActorCriticPolicy):
    """Trains under SB3's unmodified ``PPO`` and ``A2C``: ``PPO(CovariantPolicy, env)``.

    Observations are the environment's padded ``Dict``; only the atoms present cost anything.
    Actions are its ``Box(5)``: focus slot, index of the element, displacement in Å. The
    displacement's length never leaves the window of distances, which lies inside the Box, so
    that SB3's clip per axis, which would break covariance, has nothing to do.

    Args:
        observation_space: ``Dict`` of ``MolDesign-v0``.
        action_space: ``Box(5)`` of the same.
        lr_schedule: SB3's.
        config: of the network: a :class:`PolicyConfig` or its fields.
        use_sde: must be False; SB3 hands it to every policy.
        optimizer_class: of PyTorch.
        optimizer_kwargs: its arguments besides the learning rate; for Adam, ``eps=1e-5`` unless
            given.
        others: what SB3's own policies take besides; refused.

    Raises:
        InputError: if the spaces are not those of a MolDesign environment, the window of distances
            reaches out of the Box, or an argument has no meaning here.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        config: PolicyConfig | dict[str, Any] | None = None,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **others: object,
    ) -> None:
        if others:
            raise InputError(
                f"the covariant policy does not take {', '.join(sorted(others))}; its network is "
                "set with policy_kwargs={'config': ...}, and it trains under SB3's PPO and A2C"
            )
        if not isinstance(config, PolicyConfig):
            config = parse_config(config or {}, PolicyConfig, where="the policy")
        self.config = config
        if use_sde:
            raise InputError("the covariant policy has its own noise; leave use_sde at False")
        _check_spaces(observation_space, action_space, self.config)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _build(self, lr_schedule: Schedule) -> None:
        assert isinstance(self.observation_space, spaces.Dict)
        n_elements = self.observation_space["bag"].shape[0]  # type: ignore[index]  # checked to be a Box
        self.network = CovariantNetwork(self.config, n_elements)
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # type: ignore[call-arg]  # every optimiser but the base class has it
            **self.optimizer_kwargs,
        )

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "config": self.config.model_dump(),
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - PyTorch's own
        if name == "actor":
            raise MissingActor(
                "SAC, TD3 and DDPG learn off-policy from an actor and a critic of their own, which "
                "the covariant policy does not have; train it with SB3's PPO or A2C"
            )
        return super().__getattr__(name)

    def get_distribution(self, obs: PyTorchObs) -> NoReturn:
        """Refuse: focus, element and displacement follow no distribution that SB3 knows.

        Raises:
            InputError: always.
        """
        raise InputError(
            "TRPO needs a distribution with a KL divergence that SB3 knows, which the actions of "
            "the covariant policy do not follow; train it with SB3's PPO or A2C"
        )

    def forward(
        self, obs: PyTorchObs, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Actions ``(n, 5)``, values ``(n, 1)`` and log-probabilities ``(n,)``."""
        actor = self._actor(obs)
        actions = self._act(actor, deterministic)
        judgement = actor.evaluate_actions(actions)
        return actions, judgement.value[:, None], judgement.log_prob

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values ``(n, 1)``, log-probabilities ``(n,)`` and entropies ``(n,)``."""
        judgement = self._actor(obs).evaluate_actions(actions)
        return judgement.value[:, None], judgement.log_prob, judgement.entropy

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Expected returns ``(n, 1)``, in units of the reward scale."""
        return self._actor(obs).value()[:, None]

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        return self._act(self._actor(observation), deterministic)

    def _actor(self, obs: PyTorchObs) -> Actor:
        assert isinstance(obs, dict)
        _check_whole(obs)
        return Actor(self.network, obs)

    def _act(self, actor: Actor, deterministic: bool) -> Tensor:
        if deterministic:
            return actor.mode()
        return actor.sample(torch.rand(len(actor.occupied), N_NOISE, device=self.device))


def _check_whole(obs: dict[str, Tensor]) -> None:
    """Check that atomic numbers and counts are whole; some buffers hold them as floats."""
    for key in ("numbers", "bag"):
        values = obs[key]
        if values.is_floating_point() and bool((values != values.round()).any()):
            raise InputError(
                "the observations were rescaled: the covariant policy needs whole numbers in "
                f"{key!r}; leave them as they are, in VecNormalize with norm_obs=False"
            )


def _check_spaces(
    observation_space: spaces.Space[Any], action_space: spaces.Space[Any], config: PolicyConfig
) -> None:
    needed = {"numbers", "positions", "bag", "focus_mask", "element_mask"}
    if not isinstance(observation_space, spaces.Dict) or not needed <= set(observation_space):
        raise InputError(
            f"the covariant policy needs observations with {', '.join(sorted(needed))}"
        )
    if not isinstance(action_space, spaces.Box) or action_space.shape != (5,):
        raise InputError("the covariant policy needs the action Box(5) of a MolDesign environment")
    reach = float(min(action_space.high[2:].min(), -action_space.low[2:].max()))
    if config.distances[1] >= reach:
        raise InputError(
            f"distances up to {config.distances[1]} Å leave the action space, which ends at {reach}"
        )
