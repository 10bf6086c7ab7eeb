"""Heun's method in σ, with churn and noise."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from molrl.generators.simgen.config import SimgenConfig
from molrl.generators.simgen.skeletons import Skeletons

Force = Callable[[Skeletons, float], Tensor]


def noise_scale(sigma: float, config: SimgenConfig) -> tuple[float, float]:
    """Return σ after the churn, and the standard deviation of the noise that goes with it, Å.

    Args:
        sigma: the time σ.
        config: the settings.
    """
    raised = config.churn * sigma if sigma >= config.churn_min else sigma
    gained = (raised**2 - sigma**2) ** 0.5
    return raised, max(config.noise * gained, config.min_noise)


def heun_step(
    skeletons: Skeletons,
    force: Force,
    noise: Tensor,
    sigmas: tuple[float, float],
    config: SimgenConfig,
) -> Skeletons:
    """Return the skeletons after one step.

    Positions are not scaled with σ, and the force is dx/dσ itself. Each of the two forces is that
    of its own positions, with their own neighbours.

    Args:
        skeletons: before the step.
        force: of positions and σ, 1/Å; 0 for fixed atoms.
        noise: ``(n_atoms_total, 3)`` standard normal.
        sigmas: σ at the beginning and at the end of the step.
        config: the settings.
    """
    raised, scale = noise_scale(sigmas[0], config)
    kicked = (scale * noise).masked_fill(skeletons.fixed[:, None], 0.0)
    x, step = skeletons.positions + kicked, raised - sigmas[1]
    first = force(replace(skeletons, positions=x), raised)
    second = force(replace(skeletons, positions=x + step * first), sigmas[1])
    return replace(skeletons, positions=x + 0.5 * step * (first + second))
