"""Configs of active learning."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from molrl.bags import Bag
from molrl.energy.networks.config import NetworkConfig
from molrl.fitting.config import FitConfig, LossWeights
from molrl.fitting.data.config import GUARD, SMALL_BAGS
from molrl.runs.config import Config, RunConfig


def _formula(bag: str) -> str:
    return Bag(bag).formula


class DynamicsConfig(Config):
    """Langevin dynamics, biased towards uncertainty.

    Attributes:
        steps: the most steps of a trajectory.
        temperature: K.
        time_step: fs.
        friction: 1/fs.
        bias: mean size of the bias's force, as a share of the mean size of the force;
            0.1 to 0.3 in van der Oord et al., 2023.
        tolerance: a trajectory ends where the uncertainty of its molecule passes it; 0 is where
            errors of 0.1 eV/atom begin, and -1 the median of what the model has learnt.
    """

    steps: int = Field(300, ge=1)
    temperature: float = Field(500.0, ge=0)
    time_step: float = Field(1.0, gt=0)
    friction: float = Field(0.01, ge=0)
    bias: float = Field(0.3, ge=0)
    tolerance: float = 0.5


class Shares(Config):
    """The label budget: how the labels of a round are divided among sources, in any unit.

    Attributes:
        hyperactive: dynamics biased towards uncertainty.
        placements: the random placements of lowest energy under the model.
        gradient: placements that follow the model downhill.
        episodes: states of greedy episodes.
        minima: structures of the data, relaxed under the model.
        generated: molecules of external generators, whole and half-built.
        crowds: many atoms about one atom, or on a half-built molecule, taken downhill.
        hops: basin hopping of whole bags: minima of the model and what is on the way to them.
        clusters: dimers and clusters of molecules, relaxed for a while or at 300 K.
        overbound: compact clusters of low energy and low uncertainty, by an evolution strategy.
        hacked: states of crowded episodes of the highest returns.
    """

    hyperactive: float = Field(0.3, ge=0)
    placements: float = Field(0.25, ge=0)
    gradient: float = Field(0.25, ge=0)
    episodes: float = Field(0.2, ge=0)
    minima: float = Field(0.2, ge=0)
    generated: float = Field(0.0, ge=0)
    crowds: float = Field(0.0, ge=0)
    hops: float = Field(0.0, ge=0)
    clusters: float = Field(0.0, ge=0)
    overbound: float = Field(0.0, ge=0)
    hacked: float = Field(0.0, ge=0)

    def counts(self, n: int) -> dict[str, int]:
        """Divide ``n`` labels among the sources by largest remainders.

        Args:
            n: how many; each source with a share gets one at least if there are so many.

        Returns:
            Numbers by name, of sum ``n``.

        Example:
            >>> counts = Shares(episodes=0, minima=0).counts(10)
            >>> {name: count for name, count in counts.items() if count}
            {'hyperactive': 4, 'placements': 3, 'gradient': 3}
        """
        shares = self.model_dump()
        total = sum(shares.values())
        exact = {name: n * share / total for name, share in shares.items()}
        out = {name: max(1, int(count)) if count else 0 for name, count in exact.items()}
        while sum(out.values()) < n:
            out[max(out, key=lambda name: exact[name] - out[name])] += 1
        while sum(out.values()) > n:  # the last label of a source is taken last
            out[max(out, key=lambda name: (out[name] > 1, out[name] - exact[name]))] -= 1
        return out


class RefitConfig(LossWeights):
    """How the model is fitted in each round, as in :class:`molrl.fitting.config.FitConfig`."""

    steps: int = Field(2000, ge=1)
    batch_size: int = Field(16, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    warmup: int = Field(100, ge=0)
    ema: float = Field(0.998, ge=0, lt=1)
    checkpoint_every: int = Field(500, ge=1)
    compiled: bool = False


class AttackConfig(Config):
    """The attacks by which each round is measured, on molecules of the test split.

    Attributes:
        molecules: half-built molecules attacked in each way.
        placements: random placements tried on each.
        seed: of the molecules, the same in every round.
    """

    molecules: int = Field(100, ge=1)
    placements: int = Field(200, ge=2)
    seed: int = Field(0, ge=0)


class LearnConfig(RunConfig):
    """Rounds of learning: find what the model does not know, label it, fit again.

    Attributes:
        run_dir: folder of the run.
        start: weights to start from: ``mace``, ``mace-small`` or a file, as ``FILE.json`` or
            ``mace:FILE.json``.
        data: datasets that the start was fitted to, joined; every round is evaluated on
            their validation split.
        held_out: a file of molecules that are not built upon; as for the data.
        reference: the energy model that labels; the one that labelled the data.
        rounds: how many.
        labels: structures labelled in each round; what gets no label is not
            replaced.
        shares: of the sources.
        bags: formulas of the greedy episodes, and of half of the hops and hacked episodes.
        generators: generators by name, as in ``run:RUN``.
        generator_bags: formulas of what they make.
        guards: smallest distances in the attacks, as shares of the covalent radii's sum.
        placements: random placements tried on each half-built molecule.
        dynamics: of hyperactive learning.
        max_force: eV/Å; structures with a larger force are dropped.
        fit: of each round.
        attacks: how each round is measured.
        seed: of all random choices.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    run_dir: str
    start: str = "mace"
    data: tuple[str, ...] = Field(min_length=1)
    held_out: str | None = None
    reference: str = "gfn2"
    rounds: int = Field(3, ge=1)
    labels: int = Field(1000, ge=10)
    shares: Shares = Shares()
    bags: tuple[Annotated[str, AfterValidator(_formula)], ...] = SMALL_BAGS
    generators: tuple[str, ...] = ()
    generator_bags: tuple[Annotated[str, AfterValidator(_formula)], ...] = (
        "CH4O",
        "CH3NO",
        "C2H6O",
    )
    guards: tuple[Annotated[float, Field(ge=0, lt=1)], ...] = Field(
        (GUARD, 0.5, 0.35, 0.0), min_length=1
    )
    placements: int = Field(200, ge=2)
    dynamics: DynamicsConfig = DynamicsConfig()
    max_force: float = Field(400.0, gt=0)
    fit: RefitConfig = RefitConfig()
    attacks: AttackConfig = AttackConfig()
    seed: int = Field(0, ge=0, lt=2**31)
    device: str = "auto"

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if not any(self.shares.model_dump().values()):
            raise ValueError("shares: one of them must be above 0")
        if (self.shares.generated > 0) != bool(self.generators and self.generator_bags):
            raise ValueError(
                "shares.generated must be above 0 if and only if generators and generator_bags "
                "are named"
            )
        if self.shares.episodes > 0 and not self.bags:
            raise ValueError("bags: name one formula at least, or set shares.episodes to 0")
        return self

    def refit(
        self, run_dir: str, data: tuple[str, ...], start: str, shape: NetworkConfig
    ) -> FitConfig:
        """Return the config of the fit of one round, in its own folder."""
        return FitConfig(
            run_dir=run_dir,
            data=data,
            start=start,
            network=shape,
            reference=self.reference,
            max_force=self.max_force,
            seed=self.seed,
            device=self.device,
            **self.fit.model_dump(),
        )
