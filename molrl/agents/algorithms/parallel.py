"""PPO on several ranks, each of which collects its own episodes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from molrl.runs.ranks import Ranks


class ParallelPPO(PPO):
    """PPO whose updates are those of the episodes of all ranks together.

    The ranks begin with the weights of the first. In every minibatch the advantages are normalised
    over all ranks, and the gradients are averaged before they are clipped, so that the weights stay
    the same on all of them. An update ends early by the mean KL divergence of the ranks: if one
    ended alone, the others would wait for it for ever.

    Args:
        ranks: all ranks of the training.
        options: those of :class:`stable_baselines3.PPO`.

    Attributes:
        ranks: as given.
        least_deviation: advantages are divided by their standard deviation, but at least by this.

    Example:
        >>> with process_group() as ranks:  # doctest: +SKIP
        ...     ParallelPPO(ranks=ranks, policy=CovariantPolicy, env=envs).learn(10_000)
    """

    def __init__(self, ranks: Ranks, **options: Any) -> None:  # noqa: ANN401 - SB3's
        super().__init__(**options)
        self.ranks, self.least_deviation = ranks, 1e-8
        ranks.broadcast([*self.policy.parameters(), *self.policy.buffers()])

    def train(self) -> None:
        """Update the policy with the samples of the rollout buffer."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]  # SB3 has made it a function
        seen: list[tuple[float, float, float]] = []
        last: list[float] = []  # KL divergences of the last pass
        for _ in range(self.n_epochs):
            last = []
            for samples in self._minibatches():
                losses = self._losses(samples, clip_range)
                seen.append(losses.numbers())
                last.append(losses.kl)
                if self._exceeds_target(losses.kl):
                    break
                self._descend(losses)
            self._n_updates += 1
            if self._exceeds_target(last[-1]):
                break
        self._log(seen, last)

    def _minibatches(self) -> Iterator[DictRolloutBufferSamples]:
        """Yield minibatches of this rank, their advantages normalised over those of all ranks."""
        for samples in self.rollout_buffer.get(self.batch_size):
            advantages = samples.advantages
            moments = torch.stack([advantages.mean(), advantages.square().mean()]).double()
            self.ranks.average([moments])
            mean, square = moments
            deviation = (square - mean.square()).clamp(min=self.least_deviation**2).sqrt()
            yield samples._replace(advantages=((advantages - mean) / deviation).float())  # type: ignore[misc]  # of a Dict observation

    def _losses(self, samples: DictRolloutBufferSamples, clip_range: float) -> "Losses":
        """Return the losses of PPO (Schulman et al. 2017) of a minibatch of this rank."""
        values, log_prob, entropy = self._evaluated(samples)
        log_ratio = log_prob - samples.old_log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
        gain = torch.minimum(samples.advantages * ratio, samples.advantages * clipped)
        # the estimator k3 of http://joschu.net/blog/kl-approx.html
        kl = ((ratio - 1) - log_ratio).detach().mean().double()[None]
        self.ranks.average([kl])
        return Losses(
            policy=-gain.mean(),
            value=torch.nn.functional.mse_loss(samples.returns, values.flatten()),
            entropy=-entropy.mean(),
            kl=float(kl),
        )

    def _evaluated(self, samples: DictRolloutBufferSamples) -> tuple[Tensor, Tensor, Tensor]:
        """Return the values, log-probabilities and entropies of the actions of a minibatch."""
        values, log_prob, entropy = self.policy.evaluate_actions(
            samples.observations, samples.actions
        )
        assert entropy is not None
        return values, log_prob, entropy

    def _further_loss(self) -> Tensor | float:
        """Return what is added to the loss of PPO, of the minibatch last evaluated."""
        return 0.0

    def _exceeds_target(self, kl: float) -> bool:
        return self.target_kl is not None and kl > 1.5 * self.target_kl

    def _descend(self, losses: "Losses") -> None:
        """Do one step of the optimiser with the mean gradient of the ranks."""
        loss = losses.policy + self.ent_coef * losses.entropy + self.vf_coef * losses.value
        loss = loss + self._further_loss()
        parameters = list(self.policy.parameters())
        self.policy.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.ranks.average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
        self.policy.optimizer.step()

    def _log(self, seen: list[tuple[float, float, float]], last: list[float]) -> None:
        buffer = self.rollout_buffer
        policy, value, entropy = np.mean(seen, axis=0)
        figures = {
            "policy_gradient_loss": policy,
            "value_loss": value,
            "entropy_loss": entropy,
            "approx_kl": np.mean(last),
            "explained_variance": explained_variance(
                buffer.values.flatten(), buffer.returns.flatten()
            ),
            "n_updates": self._n_updates,
        }
        for name, value in figures.items():
            self.logger.record(f"train/{name}", value)


@dataclass
class Losses:
    """Losses of a minibatch of this rank, and its KL divergence, in nats, over all ranks."""

    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl: float

    def numbers(self) -> tuple[float, float, float]:
        """Return the losses of policy, value and entropy without their graph."""
        return self.policy.item(), self.value.item(), self.entropy.item()
