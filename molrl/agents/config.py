"""Configuration of the agents: the policy network, and training with PPO."""

from typing import Any

from pydantic import Field, model_validator

from molrl.errors import InputError
from molrl.runs.config import Config

MAX_SAMPLES = 10_000_000  # of one update; they are kept in memory


class PolicyConfig(Config):
    """Configuration of the covariant policy network.

    Attributes:
        width: number of scalar features per atom, and hidden size of the heads.
        channels: number of spherical features per atom and degree.
        degree: highest degree l of the features and of the density of directions.
        layers: number of message-passing layers.
        cutoff: Å; atoms farther apart exchange no messages.
        distances: smallest and largest distance from the focal atom, Å.
        distance_terms: number of normals in the mixture of distances.
        min_width: smallest standard deviation of the normals, Å.
        sharpness: bound of the log-density of directions above and below its mean.
        start: ``run:PATH``, a run whose weights the training starts from, by default those of its
            best policy; None to start at random. The network and the elements must be the same.

    Example:
        >>> PolicyConfig(width=32, channels=8).degree
        4
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
    start: str | None = None

    @model_validator(mode="after")
    def _check_window(self) -> "PolicyConfig":
        low, high = self.distances
        if not 0.2 <= low < high <= 2.5:
            raise InputError(f"distances {low} to {high} Å must be a window within 0.2 to 2.5 Å")
        return self


class PPOConfig(Config):
    """Configuration of training with stable-baselines3's PPO; the defaults were benchmarked.

    Attributes:
        num_envs: number of environments.
        n_steps: steps per environment between updates.
        batch_size: samples per optimiser step.
        n_epochs: largest number of passes over the samples of an update.
        learning_rate: initial learning rate of Adam; it decreases linearly to
            ``final_learning_rate``.
        final_learning_rate: learning rate of the last update.
        gamma: discount factor; 1, since the return is an energy.
        gae_lambda: λ of generalised advantage estimation.
        clip_range: clip range of the probability ratio.
        ent_coef: initial weight of the entropy bonus over all sub-actions, in nats; it changes
            linearly to ``final_ent_coef``.
        final_ent_coef: weight of the entropy bonus in the last update.
        vf_coef: weight of the value loss.
        max_grad_norm: largest norm of the gradient, which is clipped to it.
        target_kl: an update ends when the KL divergence exceeds 1.5 times this, in nats.
        reward_scale: eV; rewards are divided by it for the optimiser only.

    Example:
        >>> PPOConfig(num_envs=128).n_steps
        12
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
                f"num_envs {self.num_envs} times n_steps {self.n_steps}, the samples of an update, "
                f"must be 2 to {MAX_SAMPLES}"
            )
        return self

    def sb3_options(self) -> dict[str, Any]:
        """Return the options of ``stable_baselines3.PPO`` that are fields of this configuration."""
        names = "n_steps batch_size n_epochs gamma gae_lambda clip_range ent_coef vf_coef"
        return self.model_dump(include={*names.split(), "max_grad_norm", "target_kl"})
