"""The configs of denoisers: their network, and how they are trained."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from molrl.errors import InputError
from molrl.runs.config import Config, RunConfig, check_ascending

# That of Heun's method is of Karras et al. 2022, algorithm 2: no more new noise than there is.
# Euler's takes more: up to 1.5 was tried, and samples well.
_MAX_CHURN = {"heun": 2**0.5 - 1, "euler": 2.0, "pseudo-force": 1.0}


class TrunkConfig(Config):
    """The network of a denoiser.

    Attributes:
        head: ``energy``: what is learnt is the gradient of a scalar; ``direct``: a vector, which
            costs a third of that.
        channels: number of invariant features of an atom.
        hidden: number of hidden features of a pair of atoms.
        vectors: number of vectors of an atom.
        layers: number of layers.
        n_basis: number of radial basis functions.
        avg_neighbors: sums over neighbours are divided by its square root.

    Example:
        >>> TrunkConfig(channels=32).layers
        4
    """

    head: Literal["energy", "direct"] = "energy"
    channels: int = Field(64, ge=1)
    hidden: int = Field(64, ge=1)
    vectors: int = Field(16, ge=1)
    layers: int = Field(4, ge=1, le=12)
    n_basis: int = Field(24, ge=4)
    avg_neighbors: float = Field(8.0, gt=0)


class NoiseConfig(Config):
    """The noise of the training.

    Attributes:
        log_mean: mean of the logarithm of the noise level in Å.
        log_width: standard deviation of that.
        largest: Å, the largest noise level.
        named: share of the molecules whose elements are known.
        placed: share of the molecules of which a fragment, drawn at random, is known.
        feature_weight: of errors of the features of elements, beside those of positions.
    """

    log_mean: float = Field(-0.8, ge=-10, le=5)
    log_width: float = Field(1.2, ge=0, le=5)
    largest: float = Field(10.0, gt=0)
    named: float = Field(0.6, ge=0, le=1)
    placed: float = Field(0.1, ge=0, le=1)
    feature_weight: float = Field(0.5, ge=0)


class SamplingConfig(Config):
    """How molecules are sampled.

    Attributes:
        evaluations: number of evaluations of the network for a molecule; a step of Heun's method
            takes two, but its last one, a step of Euler's method or of a pseudo-force field one.
        solver: of diffusion, ``heun`` (Karras et al. 2022, algorithm 2; the default) or ``euler``,
            the same with one evaluation a step; a pseudo-force field has its own.
        largest: Å, noise level of the first step.
        smallest: Å, of the last; what is left then is taken away at once.
        rho: how much closer the noise levels are at the end than at the beginning.
        churn: share of noise that is added again in each step, at noise levels of ``churn_from``
            to ``churn_to``: by how much the noise level is raised before a step, at most 0.41 by
            Heun's and 2 by Euler's method; of a pseudo-force field the share of the noise that is
            drawn anew, at most 1.
        churn_from: Å.
        churn_to: Å.
        churn_noise: what the noise that is added is multiplied by, 0 to 2. A little below 1 more
            molecules are valid, and they are more alike.

    Example:
        >>> len(SamplingConfig(evaluations=59).heun_levels())
        31
    """

    evaluations: int = Field(59, ge=1, le=10_000)
    solver: Literal["heun", "euler"] | None = None
    largest: float = Field(4.0, gt=0, le=100)
    smallest: float = Field(0.01, gt=0, le=1)
    rho: float = Field(7.0, ge=1)
    churn: float = Field(0.2, ge=0)
    churn_from: float = Field(0.02, ge=0)
    churn_to: float = Field(2.0, ge=0)
    churn_noise: float = Field(1.0, ge=0, le=2)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        check_ascending(self, ("smallest", "largest"), ("churn_from", "churn_to"))
        return self

    def sampler(self, kind: str) -> str:
        """Return the name of the sampler of a denoiser, in ``sampling.SAMPLERS``.

        Args:
            kind: of the denoiser, ``diffusion`` or ``pseudo-force``.

        Raises:
            InputError: if a pseudo-force field is given a solver, or the churn is more than the
                sampler takes.
        """
        if kind == "diffusion":
            name: str = self.solver or "heun"
        elif self.solver is None:
            name = kind
        else:
            raise InputError(f"sampling.solver: {kind} has its own; leave it out")
        if self.churn > _MAX_CHURN[name]:
            raise InputError(
                f"sampling.churn of {name} is at most {_MAX_CHURN[name]:.3g}, not {self.churn:g}; "
                f"give sampling.churn={int(100 * _MAX_CHURN[name]) / 100:g} or less"
            )
        return name

    def heun_levels(self) -> list[float]:
        """Return the noise levels of Heun's method, of which the last is 0."""
        return self._levels((self.evaluations + 1) // 2)

    def euler_levels(self) -> list[float]:
        """Return the noise levels of a method of one evaluation a step; the last is 0."""
        return self._levels(self.evaluations)

    def _levels(self, steps: int) -> list[float]:
        """Return levels whose powers 1 / rho are evenly spaced (Karras et al. 2022, Eq. 5)."""
        first, last = self.largest ** (1 / self.rho), self.smallest ** (1 / self.rho)
        shares = [i / max(1, steps - 1) for i in range(steps)]
        return [(first + share * (last - first)) ** self.rho for share in shares] + [0.0]


class DenoiserEvaluation(Config):
    """The molecules that a denoiser is judged by, of the bags of the valid split.

    Attributes:
        n_molecules: number of molecules at the end.
        n_samples: number of molecules of an evaluation during the training.
    """

    n_molecules: int = Field(100, ge=1, le=100_000)
    n_samples: int = Field(64, ge=1, le=10_000)


class DenoiserConfig(RunConfig):
    """A training of a denoiser, by ``molrl train``.

    Attributes:
        generator: what is trained: ``diffusion`` or ``pseudo-force``.
        run_dir: the folder of the run, which is created.
        seed: of the weights, the order of the molecules and their noise.
        total_steps: optimiser steps.
        batch_size: molecules a step, on each rank.
        learning_rate: peak, reached after ``warmup`` steps; it falls to 0 as a cosine.
        warmup: steps.
        ema: decay of the running average of the weights, which is what generates.
        clip: largest norm of a gradient.
        checkpoint_every: steps between checkpoints, each with the loss on the valid split.
        evaluate_every: steps between evaluations of generated molecules; 0: none.
        device: ``auto``, ``cpu`` or ``cuda``.
        data: files of molecules; see :func:`molrl.chemistry.training_set.load_training_set`.
        network: the network.
        noise: of the training.
        sampling: of the evaluations, and what the weights are sampled with unless told otherwise.
        evaluation: the evaluations during the training and at its end.

    Example:
        >>> load_config("experiments/diffusion.yaml", [], DenoiserConfig)  # doctest: +SKIP
    """

    generator: Literal["diffusion", "pseudo-force"]
    run_dir: Path
    seed: int = Field(0, ge=0, lt=2**31)
    total_steps: int = Field(ge=1, le=10**12)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(5e-3, gt=0)
    warmup: int = Field(100, ge=0)
    ema: float = Field(0.999, ge=0, lt=1)
    clip: float = Field(1.0, gt=0)
    checkpoint_every: int = Field(1000, ge=1)
    evaluate_every: int = Field(5000, ge=0)
    device: str = "auto"
    data: tuple[str, ...] = ()
    network: TrunkConfig = TrunkConfig()
    noise: NoiseConfig = NoiseConfig()
    sampling: SamplingConfig = SamplingConfig()
    evaluation: DenoiserEvaluation = DenoiserEvaluation()

    @model_validator(mode="after")
    def _check_sampling(self) -> Self:
        self.sampling.sampler(self.generator)
        return self
