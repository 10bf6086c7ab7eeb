"""Configuration of the algorithms that imitate molecules."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from molrl.agents.config import MAX_SAMPLES, BaseAlgorithmConfig, BasePPOConfig

SHIPPED = "shipped"  # the molecule set of the package, beside names of files

Spread = Annotated[float, Field(gt=0, le=1)]


def _ascending(spreads: tuple[float, float]) -> tuple[float, float]:
    if spreads[0] > spreads[1]:
        raise ValueError(f"the least spread must come first, not {list(spreads)}")
    return spreads


Jitter = Annotated[tuple[Spread, Spread], AfterValidator(_ascending)]


class ImitationConfig(BasePPOConfig):
    """Configuration of PPO that also imitates the relaxed molecules of its own episodes.

    Optimiser steps limit it, not molecules: it takes more and longer ones than PPO by default. They
    are of Muon for the matrices between features, and of Adam for the rest.

    Attributes:
        name: of this algorithm.
        temperature: eV, of the Boltzmann weights by which isomers are imitated; differences of the
            return below it count little.
        relaxations: largest number of molecules that are relaxed in an update.
        imitation_batch: placements of relaxed molecules per optimiser step.
        imitation_coef: weight of their loss.
        lobes_coef: weight, within that loss, of the log-density of the directions by lobes alone;
            at 0 the smooth density may take all the weight, and directions stay imprecise.
        jitter: Å, least and largest spread of the atoms of canvases; wide ((0.01, 0.14)) for large
            molecules, most of whose atoms are placed on a canvas of many.
        skeleton_first: log-odds by which, in the orders of placement that are imitated, an atom
            that is not monovalent comes before one that is; 0: all orders alike.
        molecules: what is imitated from the beginning, as of :class:`CloningConfig`; or nothing.
        reinforce_until: share of the steps after which the policy only imitates, so that nothing
            draws it from relaxed geometries.

    Example:
        >>> ImitationConfig(temperature=0.2).relaxations
        16
    """

    algorithm: ClassVar[Any] = "molrl.agents.algorithms.imitation:Imitation"

    name: Literal["imitation"] = "imitation"
    learning_rate: float = Field(3e-3, gt=0, le=1)
    final_learning_rate: float = Field(1e-4, ge=0, le=1)
    batch_size: int = Field(64, ge=2, le=MAX_SAMPLES)
    n_epochs: int = Field(3, ge=1, le=1000)
    target_kl: float | None = Field(None, gt=0)
    temperature: float = Field(0.5, gt=0, le=100)
    relaxations: int = Field(16, ge=1, le=MAX_SAMPLES)
    imitation_batch: int = Field(64, ge=1, le=MAX_SAMPLES)
    imitation_coef: float = Field(1.0, gt=0)
    lobes_coef: float = Field(0.1, ge=0)
    jitter: Jitter = (0.02, 0.02)
    skeleton_first: float = Field(0.0, ge=0, le=100)
    molecules: tuple[str, ...] = ()
    reinforce_until: float = Field(1.0, gt=0, le=1)

    def sb3_options(self) -> dict[str, Any]:
        """Return the options of the algorithm of SB3; see :meth:`OnPolicyConfig.sb3_options`."""
        own = set(ImitationConfig.model_fields) - set(BasePPOConfig.model_fields)
        return {key: value for key, value in super().sb3_options().items() if key not in own}


class CloningConfig(BaseAlgorithmConfig):
    """Configuration of behaviour cloning: placements that build given molecules are imitated.

    Attributes:
        name: of this algorithm.
        num_envs: of no consequence: there are no episodes.
        molecules: what is learned from, of the bags of the task: ``shipped``, the molecule set of
            the package, or files, see :func:`molrl.chemistry.training_set.read_training_set`.
        batch_size: placements per optimiser step.
        batches: optimiser steps between two updates of the log.
        learning_rate: initial learning rate; it decreases linearly to ``final_learning_rate``. It
            is Adam's; Muon, which updates the matrices between features, has twice that.
        final_learning_rate: learning rate of the last step.
        max_grad_norm: largest norm of the gradient, which is clipped to it.
        lobes_coef: as of :class:`ImitationConfig`.
        jitter: as of :class:`ImitationConfig`.
        skeleton_first: as of :class:`ImitationConfig`.

    Example:
        >>> CloningConfig(batch_size=256).skeleton_first
        4.0
    """

    algorithm: ClassVar[Any] = "molrl.agents.algorithms.cloning:Cloning"

    name: Literal["cloning"] = "cloning"
    num_envs: int = Field(1, ge=1, le=MAX_SAMPLES)
    molecules: tuple[str, ...] = Field((SHIPPED,), min_length=1)
    batch_size: int = Field(128, ge=2, le=MAX_SAMPLES)
    batches: int = Field(50, ge=1, le=MAX_SAMPLES)
    learning_rate: float = Field(2e-3, gt=0, le=1)
    final_learning_rate: float = Field(2e-5, ge=0, le=1)
    max_grad_norm: float = Field(1.0, gt=0)
    lobes_coef: float = Field(0.3, ge=0)
    jitter: Jitter = (0.02, 0.02)
    skeleton_first: float = Field(4.0, ge=0, le=100)
