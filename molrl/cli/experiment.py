"""The config of ``molrl train``, composed of the configs of the subpackages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from molrl.agents.config import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    AnyAlgorithm,
    AnyPolicy,
    PolicyConfig,
    PPOConfig,
    parse_policy,
)
from molrl.agents.files import start_file
from molrl.envs.config import EnvOptions, default_options
from molrl.errors import InputError
from molrl.parts import check_energy_name
from molrl.registry import is_import_string
from molrl.runs.config import Config, RunConfig
from molrl.runs.weights import read_json
from molrl.tasks import AnyTask


class EvaluationConfig(Config):
    """The evaluations of policies: episodes during the training, and molecules at its end.

    Attributes:
        n_molecules: number of molecules to sample and evaluate.
        n_episodes: number of episodes of an evaluation during the training.
        temperature: of the sampling of both, 0.001 to 100; each density is taken to the
            power of its inverse. Below 1 more molecules are valid and less strained, and fewer are
            different; 1: as trained. The best policy of a run is the best at this temperature, and
            ``molrl generate --method run:RUN`` samples at it.
    """

    n_molecules: int = Field(100, ge=1, le=100_000)
    n_episodes: int = Field(64, ge=1, le=10_000)
    temperature: float = Field(1.0, ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)


def _callback(target: str) -> str:
    if not is_import_string(target):
        raise InputError(f"{target!r} is no import string; write package.module:Class")
    return target


class ExperimentConfig(RunConfig):
    """A training of an agent, from the first step to the summary.

    Attributes:
        run_dir: the folder of the run, which is created.
        seed: random seed of everything.
        total_steps: environment steps, over all environments.
        checkpoint_every: environment steps between checkpoints, which are saved after updates.
        evaluate_every: environment steps between evaluations, which decide which policy is the
            best; 0: none, and the last policy is the result.
        ema: decay, per update, of the running average of the weights.
        device: ``auto``, ``cpu`` or ``cuda``: of the energy model and the network.
        task: what to make: a formula, or the fields of a task of any kind; see
            :func:`molrl.tasks.parse_task`.
        energy: name of the energy model of the reward; the default depends on the kind of task.
        env: options of the environment; the default reward depends on the kind of task.
        policy: the policy: its ``name``, ``covariant`` by default, and its own keys; see
            :class:`molrl.agents.config.PolicyConfig`.
        algorithm: what trains it: its ``name`` and its own keys: ``ppo`` by default, see
            :class:`molrl.agents.config.PPOConfig`; with ``--bag`` ``imitation``.
        callbacks: import strings ``package.module:Class`` of callbacks of stable-baselines3, which
            are made without arguments.
        evaluation: the evaluations during the training and at its end.

    Example:
        >>> load_config("experiments/quickstart.yaml", [], ExperimentConfig).task  # doctest: +SKIP
        BagTask(kind='bag', bag='CH4O')
    """

    former_keys: ClassVar[Mapping[str, str]] = {
        "agent": "the agent is now the policy; write policy: {name: covariant, ...}",
        "ppo": "ppo is now the algorithm; write algorithm: {name: ppo, ...}",
    }

    run_dir: Path
    seed: int = Field(0, ge=0, lt=2**31)
    total_steps: int = Field(ge=1, le=10**12)
    checkpoint_every: int = Field(10_000, ge=1)
    evaluate_every: int = Field(10_000, ge=0)
    ema: float = Field(0.9, ge=0, lt=1)
    device: str = "auto"
    task: AnyTask
    energy: Annotated[str, AfterValidator(check_energy_name)] = "mace"
    env: EnvOptions = EnvOptions()
    policy: AnyPolicy = PolicyConfig()
    algorithm: AnyAlgorithm = PPOConfig()
    callbacks: tuple[Annotated[str, AfterValidator(_callback)], ...] = ()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _follow_start(self) -> Self:
        policy, own = self.policy, set(type(self.policy).model_fields) - {"start"}
        missing = own - policy.model_fields_set
        if policy.start is None or not missing:  # all are given in the config of a run
            return self
        header = read_json(start_file(policy.start))
        theirs = header.get("policy", {})
        fields = {key: value for key, value in theirs.items() if key in own}
        given = policy.model_dump(include=policy.model_fields_set, mode="json")
        self.__dict__["policy"] = parse_policy(fields | given)
        elements = tuple(header.get("elements", ()))
        if "elements" not in self.env.model_fields_set and self.task.elements <= set(elements):
            self.__dict__["env"] = self.env.model_copy(update={"elements": elements})
        return self

    @model_validator(mode="after")
    def _fill_defaults(self) -> Self:
        given = default_options(self.task)
        if "energy" not in self.model_fields_set:
            self.__dict__["energy"] = given["energy"]  # the fields are frozen from here on
        if "reward" not in self.env.model_fields_set:
            self.__dict__["env"] = self.env.model_copy(update={"reward": given["reward"]})
        return self
