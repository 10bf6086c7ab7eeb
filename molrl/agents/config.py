"""Configs of the agents: the network, and the training by PPO."""

from typing import Any

from pydantic import Field, model_validator

from molrl.errors import InputError
from molrl.runs.config import Config

MAX_SAMPLES = 10_000_000  # of one update, held in memory


class PolicyConfig(Config):
    """The covariant network.

    Attributes:
        width: scalar features per atom and hidden size of the heads.
        channels: spherical features per atom and degree.
        degree: highest degree l of the features and of the direction's density.
        layers: message-passing layers.
        cutoff: Å; atoms further apart do not see each other directly.
        distances: window of the distance head, Å.
        distance_terms: normals in the mixture of distances.
        min_width: floor of the normals' widths, Å.
        sharpness: cap of the direction's log-density above and below its mean.
    """

    width: int = Field(64, ge=4, le=4096)
    channels: int = Field(16, ge=1, le=1024)
    degree: int = Field(4, ge=1, le=5)
    layers: int = Field(2, ge=1, le=20)
    cutoff: float = Field(6.0, gt=0, le=100)
    distances: tuple[float, float] = (0.7, 2.0)
    distance_terms: int = Field(3, ge=1, le=100)
    min_width: float = Field(0.02, ge=0.01)
    sharpness: float = Field(20.0, gt=0, le=20)

    @model_validator(mode="after")
    def _check_window(self) -> "PolicyConfig":
        low, high = self.distances
        if not 0.2 <= low < high <= 2.5:
            raise InputError(f"distances {low} to {high} Å are no window within 0.2 to 2.5")
        return self


class PPOConfig(Config):
    """Training by stable-baselines3's PPO; the defaults were found by measurement.

    Attributes:
        num_envs: molecules built side by side.
        n_steps: steps of each between updates.
        batch_size: samples of an optimiser step.
        n_epochs: passes over the samples at most.
        learning_rate: of Adam, at the start; it falls linearly to ``final_learning_rate``.
        final_learning_rate: at the end.
        gamma: discount; 1, since the return is an energy.
        gae_lambda: of generalised advantage estimation.
        clip_range: of the probability ratio.
        ent_coef: weight of the entropy bonus over all sub-actions, in nats, at the start; it
            changes linearly to ``final_ent_coef``.
        final_ent_coef: at the end.
        vf_coef: weight of the value loss.
        max_grad_norm: the gradient is scaled down to this norm.
        target_kl: an update ends when the policy has moved by 1.5 times this, in nats.
        reward_scale: eV; rewards are divided by it for the optimiser, nowhere else.
    """

    num_envs: int = Field(64, ge=1, le=MAX_SAMPLES)
    n_steps: int = Field(12, ge=1, le=MAX_SAMPLES)
    batch_size: int = Field(128, ge=2, le=MAX_SAMPLES)
    n_epochs: int = Field(5, ge=1, le=1000)
    learning_rate: float = Field(1e-3, gt=0, le=1)
    final_learning_rate: float = Field(5e-5, ge=0, le=1)
    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.97, ge=0, le=1)
    clip_range: float = Field(0.2, gt=0, le=10)
    ent_coef: float = Field(0.01, ge=0)
    final_ent_coef: float = Field(0.001, ge=0)
    vf_coef: float = Field(0.5, ge=0)
    max_grad_norm: float = Field(0.5, gt=0)
    target_kl: float | None = Field(0.05, gt=0)
    reward_scale: float = Field(27.2, gt=0)

    @model_validator(mode="after")
    def _check_samples(self) -> "PPOConfig":
        if not 2 <= self.num_envs * self.n_steps <= MAX_SAMPLES:
            raise InputError(
                f"num_envs {self.num_envs} times n_steps {self.n_steps} must be the 2 to "
                f"{MAX_SAMPLES} samples of an update"
            )
        return self

    def sb3_options(self) -> dict[str, Any]:
        """The fields that ``stable_baselines3.PPO`` takes as they are."""
        names = "n_steps batch_size n_epochs gamma gae_lambda clip_range ent_coef vf_coef"
        return self.model_dump(include={*names.split(), "max_grad_norm", "target_kl"})
