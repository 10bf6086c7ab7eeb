"""Networks of policies as policies of stable-baselines3."""

from typing import Any, NoReturn

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from molrl.agents.config import BasePolicyConfig, parse_policy
from molrl.agents.interface import Decision, Inputs, build_network
from molrl.errors import InputError

_MISSING = {
    "actor": "SAC, TD3 and DDPG need a separate actor and critic",
    "lstm_actor": "RecurrentPPO needs a recurrent network",
}


class MissingActor(InputError, AttributeError):
    """Error for algorithms that need an actor which the policy does not have."""


class NetworkPolicy(ActorCriticPolicy):
    """Policy for the unmodified ``PPO`` and ``A2C`` of SB3, whose network is named by its config.

    Observations are the padded ``Dict`` of the environment. Actions are its ``Box(5)``: focus slot,
    element index, displacement in Å. The displacement is shorter than the sides of the Box, so that
    the clipping of SB3 along each axis, which would break the covariance, never acts.

    Args:
        observation_space: ``Dict`` of a MolDesign environment.
        action_space: ``Box(5)`` of the same environment.
        lr_schedule: learning rate, given by SB3.
        config: config of a policy, or what :func:`molrl.agents.config.parse_policy` reads one from.
        use_sde: must be False; SB3 passes it to every policy.
        optimizer_class: optimizer of PyTorch.
        optimizer_kwargs: arguments of the optimizer besides the learning rate; the default for
            Adam is ``eps=1e-5, fused=True``.
        others: other arguments of SB3's policies, which are refused.

    Attributes:
        config: config of the policy.
        network: the network.

    Raises:
        InputError: if the spaces are not those of a MolDesign environment, the displacements are
            not inside the Box, or an argument is not supported.

    Example:
        >>> options = {"config": {"name": "mine", "width": 32}}
        >>> PPO(NetworkPolicy, SB3VecEnv(envs), policy_kwargs=options)  # doctest: +SKIP
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        config: BasePolicyConfig | dict[str, Any] | None = None,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = torch.optim.Adam,
        optimizer_kwargs: dict[str, Any] | None = None,
        **others: object,
    ) -> None:
        if others:
            raise InputError(
                f"a policy of molrl does not take {', '.join(sorted(others))}; its network is "
                "configured by policy_kwargs={'config': {'width': 32}}, and it trains with SB3's "
                "PPO and A2C"
            )
        if use_sde:
            raise InputError(
                "a policy of molrl supports no state-dependent exploration; set use_sde to False"
            )
        if optimizer_kwargs is None and optimizer_class is torch.optim.Adam:
            optimizer_kwargs = {"eps": 1e-5, "fused": True}
        self.config = parse_policy(config or {})
        _check_spaces(observation_space, action_space)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs,
        )

    def _build(self, lr_schedule: Schedule) -> None:
        assert isinstance(self.observation_space, spaces.Dict)
        assert isinstance(self.action_space, spaces.Box)
        self.network = build_network(self.config, Inputs.of_space(self.observation_space))
        _check_reach(self.network.max_displacement, self.action_space)
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
        if name in _MISSING:
            raise MissingActor(
                f"{_MISSING[name]}, which a policy of molrl does not have; train it with SB3's PPO "
                "or A2C"
            )
        return super().__getattr__(name)

    def get_distribution(self, obs: PyTorchObs) -> NoReturn:
        """Raise an error: the actions follow no distribution of SB3.

        Raises:
            InputError: always.
        """
        raise InputError(
            "TRPO needs a distribution of SB3 with a KL divergence, which the actions of a policy "
            "of molrl do not follow; train it with SB3's PPO or A2C"
        )

    def forward(
        self, obs: PyTorchObs, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return actions ``(n, 5)``, values ``(n, 1)`` and log-probabilities ``(n,)``.

        Args:
            obs: batched observation.
            deterministic: whether to return the most probable actions instead of drawn ones.
        """
        made = self._decide(obs, deterministic)
        return made.actions, made.value[:, None], made.log_prob

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return values ``(n, 1)``, log-probabilities ``(n,)`` and entropies ``(n,)``.

        Args:
            obs: batched observation.
            actions: ``(n, 5)``.
        """
        evaluation = self.network.evaluate_actions(_checked(obs), actions)
        return evaluation.value[:, None], evaluation.log_prob, evaluation.entropy

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """Return expected returns ``(n, 1)``, in units of the reward scale."""
        return self.network.predict_values(_checked(obs))[:, None]

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        return self._decide(observation, deterministic).actions

    def _decide(self, obs: PyTorchObs, deterministic: bool) -> Decision:
        observation = _checked(obs)
        if deterministic:
            return self.network.act_greedily(observation)
        n = len(observation["numbers"])
        noise = torch.rand(n, self.network.n_noise, device=self.device)
        return self.network.act(observation, noise)


class CovariantPolicy(NetworkPolicy):
    """Covariant policy for the unmodified ``PPO`` and ``A2C`` of SB3; empty slots cost nothing.

    The arguments are those of :class:`NetworkPolicy`, ``config`` a
    :class:`molrl.agents.config.PolicyConfig` or its fields.

    Example:
        >>> model = PPO(CovariantPolicy, SB3VecEnv(envs))  # doctest: +SKIP
        >>> model.learn(10_000)  # doctest: +SKIP
    """


def _checked(obs: PyTorchObs) -> dict[str, Tensor]:
    """Return an observation whose numbers are integers, which may be stored as floats."""
    assert isinstance(obs, dict)
    for key in ("numbers", "bag"):
        values = obs[key]
        if values.is_floating_point() and bool((values != values.round()).any()):
            raise InputError(
                f"the observations were rescaled: a policy of molrl needs integers in {key!r}; "
                "do not normalise them, in VecNormalize with norm_obs=False"
            )
    return obs


def _check_spaces(observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
    needed = {"numbers", "positions", "bag", "focus_mask", "element_mask"}
    if not isinstance(observation_space, spaces.Dict) or not needed <= set(observation_space):
        raise InputError(f"a policy of molrl needs observations with {', '.join(sorted(needed))}")
    if not isinstance(action_space, spaces.Box) or action_space.shape != (5,):
        raise InputError("a policy of molrl needs the action Box(5) of a MolDesign environment")


def _check_reach(length: float, action_space: spaces.Box) -> None:
    reach = float(min(action_space.high[2:].min(), -action_space.low[2:].max()))
    if length >= reach:
        raise InputError(
            f"displacements up to {length} Å leave the action space, which ends at {reach}"
        )
