"""Covariant actor-critic as a policy of stable-baselines3."""

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
    """Error for off-policy algorithms, which need an actor that the policy does not have."""


class CovariantPolicy(ActorCriticPolicy):
    """Covariant policy for the unmodified ``PPO`` and ``A2C`` of SB3.

    Observations are the padded ``Dict`` of the environment; empty slots cost nothing. Actions are
    its ``Box(5)``: focus slot, element index, displacement in Å. The length of the displacement
    is in the window of distances, which is inside the Box, so that the clipping of SB3 along each
    axis, which would break the covariance, never acts.

    Args:
        observation_space: ``Dict`` of a MolDesign environment.
        action_space: ``Box(5)`` of the same environment.
        lr_schedule: learning rate, given by SB3.
        config: :class:`PolicyConfig` or its fields.
        use_sde: must be False; SB3 passes it to every policy.
        optimizer_class: optimizer of PyTorch.
        optimizer_kwargs: arguments of the optimizer besides the learning rate; the default for
            Adam is ``eps=1e-5``.
        others: other arguments of SB3's policies, which are refused.

    Raises:
        InputError: if the spaces are not those of a MolDesign environment, the window of distances
            is not inside the Box, or an argument is not supported.

    Example:
        >>> model = PPO(CovariantPolicy, SB3VecEnv(envs))  # doctest: +SKIP
        >>> model.learn(10_000)  # doctest: +SKIP
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
                "configured by policy_kwargs={'config': ...}, and it trains with SB3's PPO and A2C"
            )
        if not isinstance(config, PolicyConfig):
            config = parse_config(config or {}, PolicyConfig, where="the policy")
        self.config = config
        if use_sde:
            raise InputError(
                "the covariant policy supports no state-dependent exploration; set use_sde to False"
            )
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
                "SAC, TD3 and DDPG need a separate actor and critic, which the covariant policy "
                "does not have; train it with SB3's PPO or A2C"
            )
        return super().__getattr__(name)

    def get_distribution(self, obs: PyTorchObs) -> NoReturn:
        """Raise an error: the actions follow no distribution of SB3.

        Raises:
            InputError: always.
        """
        raise InputError(
            "TRPO needs a distribution of SB3 with a KL divergence, which the actions of the "
            "covariant policy do not follow; train it with SB3's PPO or A2C"
        )

    def forward(
        self, obs: PyTorchObs, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions ``(n, 5)``, values ``(n, 1)`` and log-probabilities ``(n,)``.

        Args:
            obs: batched observation.
            deterministic: whether to return the most probable actions instead of drawn ones.
        """
        actor = self._actor(obs)
        actions = self._act(actor, deterministic)
        evaluation = actor.evaluate_actions(actions)
        return actions, evaluation.value[:, None], evaluation.log_prob

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values ``(n, 1)``, log-probabilities ``(n,)`` and entropies ``(n,)``.

        Args:
            obs: batched observation.
            actions: ``(n, 5)``.
        """
        evaluation = self._actor(obs).evaluate_actions(actions)
        return evaluation.value[:, None], evaluation.log_prob, evaluation.entropy

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Return expected returns ``(n, 1)``, in units of the reward scale."""
        return self._actor(obs).value()[:, None]

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        return self._act(self._actor(observation), deterministic)

    def _actor(self, obs: PyTorchObs) -> Actor:
        assert isinstance(obs, dict)
        _check_integers(obs)
        return Actor(self.network, obs)

    def _act(self, actor: Actor, deterministic: bool) -> Tensor:
        if deterministic:
            return actor.mode()
        return actor.sample(torch.rand(len(actor.occupied), N_NOISE, device=self.device))


def _check_integers(obs: dict[str, Tensor]) -> None:
    """Check that atomic numbers and counts are integers; some buffers store them as floats."""
    for key in ("numbers", "bag"):
        values = obs[key]
        if values.is_floating_point() and bool((values != values.round()).any()):
            raise InputError(
                f"the observations were rescaled: the covariant policy needs integers in {key!r}; "
                "do not normalise them, in VecNormalize with norm_obs=False"
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
