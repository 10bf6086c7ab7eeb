"""The config of ``molrl train``, composed of the configs of the subpackages."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.bags import Bag
from molrl.energy.models import ENERGY_MODELS
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
    """The task.

    Attributes:
        bag: formula of the atoms to place.
    """

    bag: Annotated[str, AfterValidator(_formula)]


class EvaluationConfig(Config):
    """The evaluation of the final policy.

    Attributes:
        n_molecules: number of molecules to sample and evaluate.
    """

    n_molecules: int = Field(100, ge=1, le=100_000)


class ExperimentConfig(Config):
    """A training of an agent, from the first step to the summary.

    Attributes:
        run_dir: the folder of the run, which is created.
        seed: random seed of everything.
        total_steps: environment steps, over all environments.
        checkpoint_every: environment steps between checkpoints, which are saved after updates.
        device: ``auto``, ``cpu`` or ``cuda``: of the energy model and the network.
        task: what to make.
        energy: name of the energy model of the reward.
        env: options of the environment.
        agent: name of the agent.
        policy: its network.
        ppo: its training.
        evaluation: the evaluation at the end.

    Example:
        >>> load_config("experiments/quickstart.yaml", [], ExperimentConfig).task  # doctest: +SKIP
        TaskConfig(bag='CH4O')
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
