"""The interface of a policy network, and what it observes and decides."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import ClassVar, Self

from gymnasium import spaces
from torch import Tensor, nn

from molrl.agents.config import BasePolicyConfig
from molrl.errors import InputError
from molrl.registry import import_target
from molrl.tasks import Task

Observations = dict[str, Tensor]


@dataclass(frozen=True)
class Inputs:
    """What of an observation depends on the environment, besides the number of slots.

    Attributes:
        n_elements: number of the environment's ``elements``.
        points: whether there are points to fill.
        refills: whether the bag can be refilled.
        fixed: whether there are fixed atoms.

    Example:
        >>> Inputs(n_elements=4).points
        False
    """

    n_elements: int
    points: bool = False
    refills: bool = False
    fixed: bool = False

    @classmethod
    def of_space(cls, space: spaces.Dict) -> Self:
        """Return the inputs that an observation space has."""
        bag = space["bag"].shape
        assert bag is not None
        seen = (name in space.spaces for name in ("points", "refills", "n_fixed"))
        return cls(bag[0], *seen)

    @classmethod
    def of_task(cls, task: Task, n_elements: int) -> Self:
        """Return the inputs that an environment of a task has.

        Args:
            task: what to make.
            n_elements: number of the environment's ``elements``.
        """
        example = task.examples[0]
        seen = (len(example.shape), example.refills, len(example.fixed))
        return cls(n_elements, *(bool(n) for n in seen))

    def names(self) -> set[str]:
        """Return the names of the inputs that are there."""
        return {name for name, there in asdict(self).items() if there is True}


@dataclass
class Decision:
    """Actions of a policy for n canvases.

    Attributes:
        actions: ``(n, 5)`` float32: focus slot, element index, displacement in Å.
        log_prob: ``(n,)``, as in :class:`ActionEvaluation`.
        value: ``(n,)``, as in :class:`ActionEvaluation`.
    """

    actions: Tensor
    log_prob: Tensor
    value: Tensor


@dataclass
class ActionEvaluation:
    """Values, log-probabilities and entropies of n actions.

    Attributes:
        value: ``(n,)`` expected return, in units of the reward scale.
        log_prob: ``(n,)`` nats; the densities are per Å for distances and with respect to the
            uniform measure of mass 1 for directions. On an empty canvas that of the element alone.
        entropy: ``(n,)`` nats, of the focus plus each later sub-action given the earlier ones of
            the action; relative to the uniform density for distance and direction.
        by_lobes: ``(n,)`` nats, log-densities of the directions by the sharp terms of their density
            alone, 0 where there is none; None: the policy has no such terms.
    """

    value: Tensor
    log_prob: Tensor
    entropy: Tensor
    by_lobes: Tensor | None = None

    def __getitem__(self, index: slice) -> "ActionEvaluation":
        """Return some of the actions."""
        by_lobes = None if self.by_lobes is None else self.by_lobes[index]
        return ActionEvaluation(
            self.value[index], self.log_prob[index], self.entropy[index], by_lobes
        )


class PolicyNetwork(nn.Module, ABC):
    """Base class of the networks of policies: a stochastic policy, and a critic.

    Observations are those of the environment, batched, as tensors of any numeric dtypes; see
    :func:`molrl.envs.spaces.observe`. The number of slots differs between batches: a network is
    trained on one size of canvas, and generates on others. It keeps no state between calls, and
    draws no random numbers after it was built: they are given as noise, so that molecules do not
    depend on each other. :func:`molrl.testing.check_policy` checks all of this.

    A custom policy is one file: the network and its config, which is what is registered.

    Args:
        config: the config that names this class.
        inputs: what is observed.

    Attributes:
        n_noise: number of random numbers of an action.
        covariant: whether a rotation of the canvas rotates the density of actions.

    Example:
        >>> class Mine(PolicyNetwork):  # doctest: +SKIP
        ...     n_noise = 5
        ...
        ...     def __init__(self, config, inputs): ...
        >>> class MineConfig(BasePolicyConfig):  # doctest: +SKIP
        ...     network: ClassVar = Mine
        ...     name: Literal["mine"] = "mine"
        ...     width: int = 32
        >>> molrl.register("policy", "mine", MineConfig)  # doctest: +SKIP
    """

    n_noise: ClassVar[int]
    covariant: ClassVar[bool] = False

    @property
    @abstractmethod
    def max_displacement(self) -> float:
        """Largest length of a displacement, Å; it must be inside the action space."""

    @property
    def min_displacement(self) -> float:
        """Smallest length of a displacement, Å; 0 unless the network tells another."""
        return 0.0

    @property
    def lengths(self) -> tuple[float, float]:
        """Smallest and largest length of a displacement, Å."""
        return self.min_displacement, self.max_displacement

    def ignore_inputs(self, names: Collection[str]) -> None:
        """Set the weights of inputs so that they change nothing until they are trained.

        Args:
            names: of what a policy that this one starts from did not observe: ``points``,
                ``refills``, ``fixed``.

        Raises:
            InputError: if the network cannot, which is the default.
        """
        raise InputError(
            f"{type(self).__name__} cannot ignore {', '.join(names)}; start from a policy that "
            "observes the same"
        )

    @abstractmethod
    def act(self, observation: Observations, noise: Tensor) -> Decision:
        """Draw actions.

        Args:
            observation: n observations.
            noise: ``(n, n_noise)`` uniform in [0, 1), float32.
        """

    @property
    def has_temperature(self) -> bool:
        """Whether :meth:`act_tempered` is there."""
        return type(self).act_tempered is not PolicyNetwork.act_tempered

    def act_tempered(
        self, observation: Observations, noise: Tensor, temperature: float
    ) -> Decision:
        """Draw actions from densities to the power 1 / T: below 1 more probable ones, more often.

        A network that has no such densities leaves this as it is.

        Args:
            observation: n observations.
            noise: as of :meth:`act`.
            temperature: T, above 0; at 1 this is :meth:`act`.

        Raises:
            InputError: unless the network has them.
        """
        raise InputError(f"{type(self).__name__} has no temperature; leave it out, or give 1")

    @abstractmethod
    def act_greedily(self, observation: Observations) -> Decision:
        """Choose the most probable actions.

        Args:
            observation: n observations.
        """

    @abstractmethod
    def evaluate_actions(self, observation: Observations, actions: Tensor) -> ActionEvaluation:
        """Evaluate actions that were drawn before.

        Args:
            observation: n observations.
            actions: ``(n, 5)``.
        """

    @abstractmethod
    def predict_values(self, observation: Observations) -> Tensor:
        """Return expected returns ``(n,)``, in units of the reward scale.

        Args:
            observation: n observations.
        """


def build_network(config: BasePolicyConfig, inputs: Inputs) -> PolicyNetwork:
    """Return the network of a policy, with weights drawn from PyTorch's generator.

    Args:
        config: of the policy.
        inputs: what is observed.

    Raises:
        InputError: if the network cannot be imported, or is none.

    Example:
        >>> from molrl.agents.config import PolicyConfig
        >>> build_network(PolicyConfig(width=16), Inputs(n_elements=4)).n_noise
        9
    """
    network = import_target(type(config).network, f"the network of the policy {config.name!r}")
    if not (isinstance(network, type) and issubclass(network, PolicyNetwork)):
        raise InputError(
            f"the policy {config.name!r} names {network!r}, which is no class of PolicyNetwork"
        )
    return network(config, inputs)
