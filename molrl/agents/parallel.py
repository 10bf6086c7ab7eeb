"""Data-parallel PPO on several ranks, as options of SB3's ``PPO``.

Each rank collects its own episodes and computes gradients from them. Advantages are normalised over
all ranks, gradients are averaged before they are clipped, and an update ends early by the mean KL
divergence of the ranks: if one rank ended alone, the others would wait for it for ever.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples

from molrl.agents.config import PPOConfig
from molrl.runs.ranks import Ranks


def parallel_options(config: PPOConfig, ranks: Ranks) -> dict[str, Any]:
    """Return the options of ``stable_baselines3.PPO`` for one of several ranks; none for one rank.

    Args:
        config: configuration of PPO.
        ranks: all ranks of the training.
    """
    if ranks.size == 1:
        return {}
    return {
        "rollout_buffer_class": _SharedBuffer,
        "rollout_buffer_kwargs": {"ranks": ranks},
        "normalize_advantage": False,  # the buffer does it, over all ranks
        "max_grad_norm": float("inf"),  # gradients are clipped after they are averaged
        "target_kl": config.target_kl and _SharedLimit(config.target_kl, ranks),
    }


def synchronise_gradients(ppo: PPO, config: PPOConfig, ranks: Ranks) -> None:
    """Broadcast the weights of the first rank, and average gradients at every optimiser step.

    Args:
        ppo: the algorithm of this rank.
        config: configuration of PPO.
        ranks: all ranks of the training.
    """
    if ranks.size == 1:
        return
    parameters = list(ppo.policy.parameters())

    def average(*_: object) -> None:
        ranks.average_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)

    ranks.broadcast([*parameters, *ppo.policy.buffers()])
    ppo.policy.optimizer.register_step_pre_hook(average)


class _SharedBuffer(DictRolloutBuffer):
    """Rollout buffer whose advantages are normalised over the minibatches of all ranks."""

    def __init__(self, *arguments: Any, ranks: Ranks, **options: Any) -> None:  # noqa: ANN401 - SB3's
        super().__init__(*arguments, **options)
        self._ranks = ranks

    def get(  # type: ignore[override]  # as in SB3's own
        self, batch_size: int | None = None
    ) -> Iterator[DictRolloutBufferSamples]:
        for samples in super().get(batch_size):
            advantages = samples.advantages
            moments = torch.stack([advantages.mean(), advantages.square().mean()]).double()
            self._ranks.average([moments])
            mean, square = moments
            deviation = (square - mean.square()).clamp(min=0).sqrt() + 1e-8
            yield samples._replace(advantages=((advantages - mean) / deviation).float())


class _SharedLimit(float):
    """Limit that is exceeded on all ranks or on none, by the mean of their values.

    ``PPO.train`` computes ``kl > 1.5 * target_kl`` once in every minibatch, which Python passes to
    ``__rmul__`` and ``__lt__`` of this class.
    """

    __array_ufunc__ = None  # NumPy leaves comparisons to this class

    def __new__(cls, limit: float, ranks: Ranks) -> "_SharedLimit":
        made = super().__new__(cls, limit)
        made._ranks = ranks
        return made

    _ranks: Ranks

    def __rmul__(self, factor: float) -> "_SharedLimit":
        return _SharedLimit(factor * float(self), self._ranks)

    def __lt__(self, kl: NDArray[np.float32]) -> bool:  # type: ignore[override]  # NumPy's scalar
        mean = torch.tensor([float(kl)], dtype=torch.float64)
        self._ranks.average([mean])
        return float(self) < float(mean)
