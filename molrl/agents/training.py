"""Training of the covariant agent with stable-baselines3's PPO."""

from collections.abc import Callable

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.generator import AgentHeader
from molrl.agents.network import CovariantNetwork
from molrl.agents.parallel import parallel_options, synchronise_gradients
from molrl.agents.policy import CovariantPolicy
from molrl.agents.vec_env import SB3VecEnv, ScaledReward
from molrl.chemistry.bonds import validity
from molrl.envs.rules import REASON_TEXTS, Reason
from molrl.envs.state import CanvasState
from molrl.envs.vector import MolDesignVectorEnv
from molrl.molecules import MoleculeBatch
from molrl.rewards import contains_code
from molrl.runs.ranks import Ranks

COMPLETE = REASON_TEXTS[Reason.COMPLETE]
MAX_CHECKED = 64  # molecules per update whose validity is logged

Figures = dict[str, float]


class AgentTraining:
    """Training of a covariant policy with PPO in a vector environment.

    Args:
        env: environment in autoreset mode ``SameStep``.
        policy: configuration of the network.
        ppo: configuration of PPO.
        total_steps: number of environment steps, over all environments of all ranks.
        seed: seed of the weights, of the sampling and of the order of the samples; each rank adds
            its number.
        device: device of the network.
        ranks: all ranks of the training; None: this process alone.

    Attributes:
        env: the environment of this rank.
        sb3_env: the same environment as a ``VecEnv`` of SB3.
        ppo: the ``PPO`` of SB3.
        own_steps: number of environment steps of this rank.

    Example:
        >>> env = MolDesignVectorEnv(64, "SameStep", bag="H2O", energy="gfn2")  # doctest: +SKIP
        >>> training = AgentTraining(env, PolicyConfig(), PPOConfig(), 6000, 0)  # doctest: +SKIP
        >>> training.run(lambda step, figures: print(step, figures["return"]))  # doctest: +SKIP
    """

    def __init__(
        self,
        env: MolDesignVectorEnv,
        policy: PolicyConfig,
        ppo: PPOConfig,
        total_steps: int,
        seed: int,
        device: str = "cpu",
        ranks: Ranks | None = None,
    ) -> None:
        self.env, self.config, self.policy_config = env, ppo, policy
        self.ranks = ranks or Ranks()
        self.own_steps = -(-total_steps // self.ranks.size)
        self.sb3_env = SB3VecEnv(env)
        self.ppo = PPO(
            CovariantPolicy,
            ScaledReward(self.sb3_env, ppo.reward_scale),
            learning_rate=self._learning_rate,
            policy_kwargs={"config": policy},
            seed=seed + self.ranks.rank,
            device=device,
            **ppo.sb3_options() | parallel_options(ppo, self.ranks),
        )
        synchronise_gradients(self.ppo, ppo, self.ranks)
        self.sb3_env.seed(seed + self.ranks.rank * env.num_envs)  # ranks draw other instances

    @property
    def steps(self) -> int:
        """Number of environment steps so far, over all ranks."""
        return self.ppo.num_timesteps * self.ranks.size

    @property
    def network(self) -> CovariantNetwork:
        """The policy network."""
        policy = self.ppo.policy
        assert isinstance(policy, CovariantPolicy)
        return policy.network

    @property
    def header(self) -> AgentHeader:
        """Header of the file of the policy weights."""
        model, reward = self.env.energy_model, self.env.config.reward
        return AgentHeader(
            policy=self.policy_config,
            elements=self.env.elements,
            energy=model.name,
            energy_hash=model.hash,
            task=self.env.task,
            rules=self.env.config.rules,
            reward=None if contains_code(reward) else dict(reward),
            max_steps=self.env.config.max_steps,
        )

    def run(self, on_update: Callable[[int, Figures], None]) -> None:
        """Train until ``total_steps``, from the first step or a restored checkpoint.

        Args:
            on_update: function that is called on every rank after every update, with the number of
                environment steps so far and the figures of the episodes that ended since the last
                call, over all ranks: ``return`` (eV, mean over all episodes),
                ``complete_fraction``, ``valid_fraction`` (of all episodes, estimated from a sample
                of the complete ones), all NaN if no episode ended, and those of PPO.
        """
        done = self.ppo.num_timesteps
        self.ppo.learn(
            self.own_steps - done,
            callback=_EpisodeLog(self, on_update),
            reset_num_timesteps=not done,
        )

    def _learning_rate(self, remaining: float) -> float:
        low, high = self.config.final_learning_rate, self.config.learning_rate
        return low + (high - low) * remaining


class _EpisodeLog(BaseCallback):
    """Callback that reports the episodes of each rollout and sets the entropy coefficient."""

    def __init__(self, training: AgentTraining, on_update: Callable[[int, Figures], None]) -> None:
        super().__init__()
        self.training, self.on_update = training, on_update
        self.reported = training.ppo.num_timesteps  # steps at the last report
        self._clear()

    def _clear(self) -> None:
        self.returns: list[float] = []
        self.complete: list[CanvasState] = []

    def _on_step(self) -> bool:
        ended = {
            i: info["episode"] for i, info in enumerate(self.locals["infos"]) if "episode" in info
        }
        self.returns += [episode["r"] for episode in ended.values()]
        complete = [i for i, episode in ended.items() if episode["reason"] == COMPLETE]
        if complete:
            assert self.training.env.last_state is not None
            self.complete.append(self.training.env.last_state[np.array(complete)])
        return True

    def _on_rollout_start(self) -> None:
        remaining = self.model._current_progress_remaining
        low, high = self.training.config.final_ent_coef, self.training.config.ent_coef
        assert isinstance(self.model, PPO)
        self.model.ent_coef = low + (high - low) * remaining
        self._report()

    def _on_training_end(self) -> None:
        self._report()

    def _report(self) -> None:
        if self.model.num_timesteps == self.reported:
            return
        self.reported = self.model.num_timesteps
        returns = [
            value for of_rank in self.training.ranks.gather(self.returns) for value in of_rank
        ]
        logged = self.model.logger.name_to_value
        names = {"approx_kl": "kl", "entropy_loss": "entropy", "explained_variance": "explained"}
        n_complete = sum(map(len, self.complete))
        own = {
            "complete": float(n_complete),
            "valid": n_complete * _valid_fraction(self.complete),
            "value_loss": float(logged.get("train/value_loss", np.nan)),
        } | {new: float(logged.get(f"train/{old}", np.nan)) for old, new in names.items()}
        every = self.training.ranks.gather(own)
        mean = {name: float(np.mean([of_rank[name] for of_rank in every])) for name in own}
        episodes = len(returns) / len(every) or np.nan
        figures = {
            "return": float(np.mean(returns)) if returns else np.nan,
            "complete_fraction": mean.pop("complete") / episodes,
            "valid_fraction": mean.pop("valid") / episodes,
            **mean,
            "entropy": -mean["entropy"],
        }
        self._clear()
        self.on_update(self.training.steps, figures)


def _valid_fraction(complete: list[CanvasState]) -> float:
    """Return the fraction of valid molecules among the first complete canvases."""
    if not complete:
        return 0.0
    molecules = MoleculeBatch.cat([canvases.to_molecules() for canvases in complete])
    return float(np.mean(validity(molecules[:MAX_CHECKED]).valid))
