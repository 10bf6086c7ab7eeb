"""The settings of SiMGen."""

from typing import Self

from pydantic import Field, model_validator

from molrl.energy.descriptors.network import CORE
from molrl.runs.config import Config, check_ascending


class SimgenConfig(Config):
    """The settings of SiMGen; the values of the paper's program stand beside them.

    Time σ runs from ``sigma_max`` down to ``sigma_min``, half of the steps evenly spaced down to
    ``sigma_linear``, the other half in logarithmic steps from ``sigma_log``.

    Attributes:
        steps: number of times σ, one more than integration steps. Program: 50.
        sigma_max: first σ. Program: 1.
        sigma_linear: last of the even ones. Program: 0.05.
        sigma_log: first of the logarithmic ones. Program: 10^-1.31 = 0.049.
        sigma_min: last σ. Program: 0.001.
        churn: factor of σ before each step, which adds noise of the variance that σ gains.
            Program: 1.3. At 1 there is only ``min_noise``.
        churn_min: σ below which there is no churn. Program: 0.002.
        noise: factor of that noise. Program: 0.5.
        min_noise: Å, its least standard deviation. Program: 0.01.
        start_scale: factor of the prior's positions at the start. Program: 0.5.
        sharpness_min: sharpness of the kernel at σ = ``sharpness_time`` and above. Program: 1.
        sharpness_max: sharpness at σ = 0. Program: 120.
        sharpness_time: σ at which the kernel begins to narrow. Program: 10.
        sharpness_power: power of σ over that time in the sharpness. Program: 0.25.
        balance: how much less common environments of the reference weigh, 0 to 2; see
            :meth:`~molrl.energy.descriptors.kernel.SimilarityKernel.balanced`. Assemblies end in
            saturated environments more often than the reference has them; above 1, rare ones
            attract more. Program: 0.
        max_force: 1/Å, to which the force of the kernel on an atom is cut. Program: √3.
        repulsion: 1/3 in the program, factor of the repulsion exp(-r ``repulsion_decay``).
        repulsion_decay: 1/Å. Program: 8.
        prior_strength: factor of the formula of the program for the strength of the prior,
            0.45 / (0.3 + 0.0783 √n)², in 1/Å². Program: 0.7 on the command line.
        prior_fade: the prior fades as tanh(``prior_fade`` σ²). Program: 20.
        prior_sharpness: 1/Å, of the pull towards the points of a shape, as each point's weight is
            softmax(-distance x sharpness). Program: 5.
        core: Å, distance below which descriptors are constant. Program: 0.75.
        particles: copies of each molecule that compete. Program: 10.
        swap_every: steps between the competitions. Program: 2 on the command line, 4 in ZnDraw.
        swap_share: share of the atoms of a copy that change their elements. Program: 0.2.
        temperature: of the last competitions, in units of log k. Program: 0.1.
        temperature_decades: powers of 10 by which the temperature is higher at σ = 1. Program: 7.
        hole: a copy whose similarity energy per atom is below minus this is not chosen. Program: 5.
        settle_steps: most steps, without noise, to the nearest maximum of similarity at the end.
            Program: 0.
        settle_sharpness: sharpness of the kernel in these steps.
        reference_size: number of reference molecules. Program: 256.
        relax_steps: most steps of the final relaxation. Program: 25.
        relax_force: eV/Å, at which it ends.

    Example:
        >>> SimgenConfig(steps=30).particles
        10
    """

    steps: int = Field(50, ge=4, le=1000)
    sigma_max: float = Field(1.0, gt=0, le=10)
    sigma_linear: float = Field(0.05, gt=0)
    sigma_log: float = Field(0.049, gt=0)
    sigma_min: float = Field(0.001, gt=0)
    churn: float = Field(1.3, ge=1, le=3)
    churn_min: float = Field(0.002, ge=0)
    noise: float = Field(0.5, ge=0, le=5)
    min_noise: float = Field(0.01, ge=0, le=1)
    start_scale: float = Field(0.5, gt=0, le=5)
    sharpness_min: float = Field(1.0, gt=0)
    sharpness_max: float = Field(120.0, gt=0)
    sharpness_time: float = Field(10.0, gt=0)
    sharpness_power: float = Field(0.25, gt=0)
    balance: float = Field(1.15, ge=0, le=2)
    max_force: float = Field(3**0.5, gt=0)
    repulsion: float = Field(1 / 3, ge=0)
    repulsion_decay: float = Field(8.0, gt=0)
    prior_strength: float = Field(0.5, ge=0)
    prior_fade: float = Field(20.0, gt=0)
    prior_sharpness: float = Field(5.0, gt=0)
    core: float = Field(CORE, ge=0, le=1.5)
    particles: int = Field(10, ge=1, le=100)
    swap_every: int = Field(2, ge=1)
    swap_share: float = Field(0.2, ge=0, le=1)
    temperature: float = Field(0.3, gt=0)
    temperature_decades: float = Field(7.0, ge=0)
    hole: float = Field(5.0, gt=0)
    settle_steps: int = Field(40, ge=0)
    settle_sharpness: float = Field(400.0, gt=0)
    reference_size: int = Field(256, ge=1)
    relax_steps: int = Field(60, ge=0)
    relax_force: float = Field(0.05, gt=0)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        check_ascending(self, ("sigma_linear", "sigma_max"), ("sigma_min", "sigma_log"))
        return self

    def sigmas(self) -> list[float]:
        """Return the times σ, largest first."""
        n = self.steps // 2
        spread = (self.sigma_linear - self.sigma_max) / (n - 1)
        even = [self.sigma_max + spread * i for i in range(n)]
        m = self.steps - n
        ratio = (self.sigma_min / self.sigma_log) ** (1 / (m - 1))
        return even + [self.sigma_log * ratio**i for i in range(m)]

    def sharpness_at(self, sigma: float) -> float:
        """Return the sharpness of the kernel at a time.

        Args:
            sigma: the time σ.
        """
        share: float = 1 - min(1.0, sigma / self.sharpness_time) ** self.sharpness_power
        return self.sharpness_min + (self.sharpness_max - self.sharpness_min) * share

    def temperature_at(self, sigma: float) -> float:
        """Return the temperature of a competition at a time, in units of log k.

        Args:
            sigma: the time σ.
        """
        exponent: float = self.temperature_decades * sigma
        higher: float = 10.0 ** min(exponent, 30.0)
        return self.temperature * higher
