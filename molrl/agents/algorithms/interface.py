"""The interface of an algorithm that trains a policy."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn
from torch.optim import Optimizer

from molrl.agents.config import BaseAlgorithmConfig, BasePolicyConfig
from molrl.agents.interface import PolicyNetwork
from molrl.errors import InputError
from molrl.plugins import import_plugins
from molrl.registry import import_target
from molrl.runs.ranks import Ranks

Infos = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Setup:
    """What an algorithm trains, and for how long.

    Attributes:
        env: the environments of this rank; rewards are divided by the reward scale.
        policy: config of the policy.
        total_steps: number of environment steps of this rank.
        seed: seed of the weights, of the sampling and of the order of the samples.
        device: device of the network.
        ranks: all ranks of the training.
        callbacks: callbacks of SB3, for algorithms that take them.
    """

    env: VecEnv
    policy: BasePolicyConfig
    total_steps: int
    seed: int
    device: str
    ranks: Ranks
    callbacks: Sequence[BaseCallback] = ()


@dataclass(frozen=True)
class Position:
    """Where a training continues.

    Attributes:
        steps: number of environment steps of this rank so far.
        observation: the observations of the next step.
        starts: ``(num_envs,)`` bool, which of them begin an episode.
    """

    steps: int
    observation: dict[str, NDArray[Any]]
    starts: NDArray[Any]


class Algorithm(ABC):
    """Base class of the algorithms that train a policy in a vector environment.

    A custom one is one file: the class and its config, which is what is registered. It draws from
    the global generators of Python, NumPy and PyTorch only, whose states are in every snapshot.
    :func:`molrl.testing.check_algorithm` checks it. With the algorithms of stable-baselines3,
    :class:`molrl.agents.algorithms.on_policy.OnPolicy` does most of it.

    Args:
        config: the config that names this class.
        setup: what is trained.

    Attributes:
        config: the same.

    Example:
        >>> class Mine(Algorithm):  # doctest: +SKIP
        ...     def run(self, on_step, on_update): ...
        >>> class MineConfig(BaseAlgorithmConfig):  # doctest: +SKIP
        ...     algorithm: ClassVar = Mine
        ...     name: Literal["mine"] = "mine"
        >>> molrl.register("algorithm", "mine", MineConfig)  # doctest: +SKIP
    """

    @property
    @abstractmethod
    def network(self) -> PolicyNetwork:
        """The network that is trained."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Number of environment steps of this rank so far."""

    @abstractmethod
    def run(self, on_step: Callable[[Infos], None], on_update: Callable[[], None]) -> None:
        """Train until ``setup.total_steps``, from the first step or a restored position.

        Args:
            on_step: called after every step with the infos of the environments.
            on_update: called after every update of the weights.
        """

    @abstractmethod
    def figures(self) -> dict[str, float]:
        """Return figures of the last update, always of the same names; NaN where there is none."""

    @abstractmethod
    def snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all that the rest of the training depends on and the ranks share.

        Returns:
            Tensors by name, and plain JSON data. The states of the global generators, of the
            environments and of their episodes are recorded elsewhere.
        """

    @abstractmethod
    def restore(
        self, position: Position, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
    ) -> None:
        """Restore what :meth:`snapshot` gave, so that :meth:`run` continues from there.

        Args:
            position: where the training continues.
            tensors: of the snapshot.
            state: of the snapshot.

        Raises:
            KeyError: if a tensor is missing.
            RuntimeError: if a tensor does not fit.
        """


def training_tensors(policy: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the tensors from which :func:`restore_training` restores.

    Args:
        policy: what is trained.
        optimizer: of its parameters.
    """
    tensors = {f"policy/{name}": tensor for name, tensor in policy.state_dict().items()}
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{i}/{key}": tensor for key, tensor in moments.items()}
    return tensors


def restore_training(
    policy: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Restore what :func:`training_tensors` returned, in place.

    Args:
        policy: as there.
        optimizer: as there.
        tensors: of a snapshot, which may hold others.

    Raises:
        RuntimeError: if a weight is missing, unknown or of another shape, or a moment of the
            optimiser is of another shape, as those of another optimiser are.
    """
    own = [name for name in tensors if name.startswith("policy/")]
    # strictly: with other weights the moments, which have numbers, would be those of others
    policy.load_state_dict({name.removeprefix("policy/"): tensors[name] for name in own})
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, i, key = name.split("/")
            moments.setdefault(int(i), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, of_one in moments.items():
        shape = parameters[index].shape if index < len(parameters) else None
        # PyTorch checks no shape, and its fused kernels would read beyond the end
        if any(moment.dim() and moment.shape != shape for moment in of_one.values()):
            raise RuntimeError(f"moments {index} of the optimiser are of another shape")
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def load_callbacks(names: Sequence[str]) -> list[BaseCallback]:
    """Return callbacks of SB3, made without arguments.

    Args:
        names: import strings ``"package.module:Class"``, installed or in the current folder.

    Raises:
        InputError: if one cannot be imported or made, or is no callback.

    Example:
        >>> load_callbacks(["stable_baselines3.common.callbacks:ProgressBarCallback"])
        ... # doctest: +SKIP
    """
    import_plugins([name.partition(":")[0] for name in names], where="callbacks")
    made = []
    for name in names:
        target = import_target(name, f"the callback {name}")
        if not (isinstance(target, type) and issubclass(target, BaseCallback)):
            raise InputError(f"the callback {name} is no class of SB3's BaseCallback")
        made.append(target())
    return made


def build_algorithm(config: BaseAlgorithmConfig, setup: Setup) -> Algorithm:
    """Return an algorithm, its network drawn with the seed.

    Args:
        config: of the algorithm.
        setup: what is trained.

    Raises:
        InputError: if the algorithm cannot be imported, or is none, or does not fit the setup.
    """
    algorithm = import_target(type(config).algorithm, f"the algorithm {config.name!r}")
    if not (isinstance(algorithm, type) and issubclass(algorithm, Algorithm)):
        raise InputError(
            f"the algorithm {config.name!r} names {algorithm!r}, which is no class of Algorithm"
        )
    return algorithm(config, setup)  # type: ignore[call-arg]  # as the base class documents
