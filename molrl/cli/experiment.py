"""What ``molrl train`` is told: the configs of the rooms, side by side."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.bags import Bag
from molrl.energy.registry import ENERGY_MODELS
from molrl.envs.config import EnvOptions
from molrl.registry import Registry
from molrl.runs.config import Config

AGENTS = Registry("agent", {"covariant": "molrl.agents.training:AgentTraining"})


def _formula(bag: str) -> str:
    return Bag(bag).formula


def _energy(name: str) -> str:
    ENERGY_MODELS.check(name.partition(":")[0])
    return name


class TaskConfig(Config):
    """What to make.

    Attributes:
        bag: the formula of the atoms to place.
    """

    bag: Annotated[str, AfterValidator(_formula)]


class EvaluationConfig(Config):
    """What the closing table is about.

    Attributes:
        n_molecules: how many molecules of the final policy are judged.
    """

    n_molecules: int = Field(100, ge=1, le=100_000)


class ExperimentConfig(Config):
    """A training, from the first step to the closing table.

    Attributes:
        run_dir: the folder that is made for it.
        seed: of everything that is drawn.
        total_steps: environment steps, over all environments.
        checkpoint_every: environment steps between checkpoints, which are taken after updates.
        device: ``auto``, ``cpu`` or ``cuda``: of the energy model and the network.
        task: what to make.
        energy: the model that pays, by name.
        env: the environment.
        agent: who learns, by name.
        policy: its network.
        ppo: its training.
        evaluation: how it is judged at the end.
    """

    run_dir: Path
    seed: int = Field(0, ge=0, lt=2**31)
    total_steps: int = Field(ge=1, le=10**12)
    checkpoint_every: int = Field(10_000, ge=1)
    device: str = "auto"
    task: TaskConfig
    energy: Annotated[str, AfterValidator(_energy)] = "mace"
    env: EnvOptions = EnvOptions()
    agent: Annotated[str, AfterValidator(AGENTS.check)] = "covariant"
    policy: PolicyConfig = PolicyConfig()
    ppo: PPOConfig = PPOConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
