"""Training of a policy with an algorithm, in a vector environment."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback

from molrl.agents.algorithms.interface import Infos, Setup, build_algorithm
from molrl.agents.config import BaseAlgorithmConfig, BasePolicyConfig
from molrl.agents.generator import AgentHeader, describe_policy
from molrl.agents.interface import PolicyNetwork
from molrl.agents.vec_env import SB3VecEnv, ScaledReward
from molrl.chemistry.bonds import validity
from molrl.envs.rules import REASON_TEXTS, Reason
from molrl.envs.state import CanvasState
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.ranks import Ranks

COMPLETE = REASON_TEXTS[Reason.COMPLETE]
MAX_CHECKED = 64  # molecules per update whose validity is logged

Figures = dict[str, float]


class AgentTraining:
    """Training of a policy with an algorithm in a vector environment, of any kind of task.

    Args:
        env: environment in autoreset mode ``SameStep``.
        policy: configuration of the policy.
        algorithm: configuration of the algorithm.
        total_steps: number of environment steps, over all environments of all ranks.
        seed: seed of the weights, of the sampling and of the order of the samples; each rank adds
            its number.
        device: device of the network.
        ranks: all ranks of the training; None: this process alone.
        callbacks: callbacks of SB3, for algorithms that take them.

    Attributes:
        env: the environment of this rank.
        sb3_env: the same environment as a ``VecEnv`` of SB3.
        algorithm: the algorithm.
        device: as given.

    Raises:
        InputError: if policy, algorithm, environment and ranks do not fit together.

    Example:
        >>> env = MolDesignVectorEnv(64, "SameStep", bag="H2O", energy="gfn2")  # doctest: +SKIP
        >>> training = AgentTraining(env, PolicyConfig(), PPOConfig(), 6000, 0)  # doctest: +SKIP
        >>> training.run(lambda step, figures: print(step, figures["return"]))  # doctest: +SKIP
    """

    def __init__(
        self,
        env: MolDesignVectorEnv,
        policy: BasePolicyConfig,
        algorithm: BaseAlgorithmConfig,
        total_steps: int,
        seed: int,
        device: str = "cpu",
        ranks: Ranks | None = None,
        callbacks: Sequence[BaseCallback] = (),
    ) -> None:
        self.env, self.policy_config, self.device = env, policy, device
        self.ranks = ranks or Ranks()
        self.sb3_env = SB3VecEnv(env)
        setup = Setup(
            env=ScaledReward(self.sb3_env, algorithm.reward_scale),
            policy=policy,
            total_steps=-(-total_steps // self.ranks.size),
            seed=seed + self.ranks.rank,
            device=device,
            ranks=self.ranks,
            callbacks=callbacks,
        )
        self.algorithm = build_algorithm(algorithm, setup)
        self.sb3_env.seed(seed + self.ranks.rank * env.num_envs)  # ranks draw other instances

    @property
    def steps(self) -> int:
        """Number of environment steps so far, over all ranks."""
        return self.algorithm.steps * self.ranks.size

    @property
    def network(self) -> PolicyNetwork:
        """The policy network."""
        return self.algorithm.network

    @property
    def header(self) -> AgentHeader:
        """Header of the file of the policy weights."""
        return describe_policy(self.policy_config, self.env)

    def run(self, on_update: Callable[[int, Figures], None]) -> None:
        """Train until ``total_steps``, from the first step or a restored checkpoint.

        Args:
            on_update: function that is called on every rank after every update, with the number of
                environment steps so far and the figures of the episodes that ended since the last
                call, over all ranks: ``return`` (eV, mean over all episodes),
                ``complete_fraction``, ``valid_fraction`` (of all episodes, estimated from a sample
                of the complete ones), all NaN if no episode ended, and those of the algorithm.

        Raises:
            InputError: if a weight of the policy is no longer a finite number.
        """
        episodes = _Episodes(self.env)

        def report() -> None:
            self._check_weights()
            figures = episodes.figures(self.ranks, self.algorithm.figures())
            on_update(self.steps, figures)

        self.algorithm.run(episodes.add, report)

    def _check_weights(self) -> None:
        largest = torch.stack([each.detach().abs().max() for each in self.network.parameters()])
        if not largest.isfinite().all():
            raise InputError(
                f"the training has diverged at step {self.steps}: weights of the policy are no "
                "longer finite numbers; train again with a lower algorithm.learning_rate, or "
                "larger minibatches"
            )


class _Episodes:
    """The episodes that ended since the last report.

    Args:
        env: the environment they ended in.
    """

    def __init__(self, env: MolDesignVectorEnv) -> None:
        self.env = env
        self.returns: list[float] = []
        self.complete: list[CanvasState] = []

    def add(self, infos: Infos) -> None:
        """Add the episodes that ended in a step.

        Args:
            infos: of the environments.
        """
        ended = {i: info["episode"] for i, info in enumerate(infos) if "episode" in info}
        self.returns += [episode["r"] for episode in ended.values()]
        complete = [i for i, episode in ended.items() if episode["reason"] == COMPLETE]
        if complete:
            assert self.env.last_state is not None
            self.complete.append(self.env.last_state[np.array(complete)])

    def figures(self, ranks: Ranks, of_algorithm: Figures) -> Figures:
        """Return the figures of the episodes of all ranks, and forget them.

        Args:
            ranks: all ranks.
            of_algorithm: further figures, of which the means over the ranks are added.
        """
        returns = [value for of_rank in ranks.gather(self.returns) for value in of_rank]
        n_complete = sum(map(len, self.complete))
        own = {
            "complete": float(n_complete),
            "valid": n_complete * _valid_fraction(self.complete),
            **of_algorithm,
        }
        every = ranks.gather(own)
        mean = {name: float(np.mean([of_rank[name] for of_rank in every])) for name in own}
        episodes = len(returns) / len(every) or np.nan
        self.returns, self.complete = [], []
        return {
            "return": float(np.mean(returns)) if returns else np.nan,
            "complete_fraction": mean.pop("complete") / episodes,
            "valid_fraction": mean.pop("valid") / episodes,
            **mean,
        }


def _valid_fraction(complete: list[CanvasState]) -> float:
    """Return the fraction of valid molecules among complete canvases, evenly chosen."""
    if not complete:
        return 0.0
    molecules = MoleculeBatch.cat([canvases.to_molecules() for canvases in complete])
    n = len(molecules)  # the first ones would be those of the smallest bags
    rows = np.linspace(0, n - 1, min(n, MAX_CHECKED)).round().astype(np.int64)
    return float(np.mean(validity(molecules[rows]).valid))
