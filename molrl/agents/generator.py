"""Trained agents as generators of molecules, and their files."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ase.data import chemical_symbols
from numpy.typing import NDArray
from pydantic import Field
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnvWrapper

from molrl.agents.config import MAX_TEMPERATURE, MIN_TEMPERATURE, AnyPolicy, BasePolicyConfig
from molrl.agents.files import FILES, kind_of, policy_file
from molrl.agents.interface import Inputs, PolicyNetwork, build_network
from molrl.agents.no_energy import NoEnergy
from molrl.agents.policy import NetworkPolicy
from molrl.agents.rollout import Actions, canvas_size, generate
from molrl.agents.vec_env import SB3VecEnv
from molrl.bags import Bag
from molrl.energy import EnergyModel, load_energy
from molrl.energy.registry import resolve_device
from molrl.envs.config import EnvConfig, Rules
from molrl.envs.problem import Problem
from molrl.envs.spaces import Observation
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.generation import Generated, TrainedSize, check_owner
from molrl.rewards import contains_code
from molrl.runs.config import Config, parse_config
from molrl.runs.progress import log_message
from molrl.runs.weights import load_weights, save_weights
from molrl.tasks import AnyTask, Task, parse_task

_SAMPLING = {"energy": 1.0}  # where no reward is known; only the rules matter for sampling


class AgentHeader(Config):
    """Header of a file of policy weights.

    Attributes:
        policy: configuration of the policy; the covariant one where no name is given.
        elements: atomic numbers that an action chooses from, ascending.
        energy: name of the energy model of the training.
        energy_hash: hash of that energy model.
        task: what the training made; headers of earlier versions have the formula as ``bag``.
        rules: rules of the environment.
        reward: reward terms of the training; None if they contain user code, which is never named
            in a header.
        max_steps: largest number of atoms placed in an episode, or None.
        steps: number of steps of the training after which the weights were as they are; None in
            headers of earlier versions.
        temperature: of the sampling, where none is given: that of the evaluations of the training.
        training_energy_calls: energies evaluated in all stages of the training; only in the header
            of a policy that ships.
    """

    policy: AnyPolicy
    elements: tuple[int, ...]
    energy: str
    energy_hash: str
    task: AnyTask
    rules: Rules = Rules()
    reward: dict[str, Any] | None = Field(default={"energy": 1.0})
    max_steps: int | None = None
    steps: int | None = None
    temperature: float = Field(1.0, ge=MIN_TEMPERATURE, le=MAX_TEMPERATURE)
    training_energy_calls: int | None = None

    @property
    def inputs(self) -> Inputs:
        """What the network observes."""
        return Inputs.of_task(self.task, len(self.elements))


def describe_policy(policy: BasePolicyConfig, env: MolDesignVectorEnv) -> AgentHeader:
    """Return the header of a policy that was trained in an environment.

    Args:
        policy: its configuration.
        env: the environment.
    """
    model, reward = env.energy_model, env.config.reward
    return AgentHeader(
        policy=policy,
        elements=env.elements,
        energy=model.name,
        energy_hash=model.hash,
        task=env.task,
        rules=env.config.rules,
        reward=None if contains_code(reward) else dict(reward),
        max_steps=env.config.max_steps,
    )


def save_agent(
    folder: Path | str, network: PolicyNetwork, header: AgentHeader, which: str = "last"
) -> str:
    """Write a policy to a run folder.

    Args:
        folder: run folder.
        network: the policy network.
        header: header of the file.
        which: which of the policies of the run it is, a key of :data:`FILES`.

    Returns:
        SHA-256 of the weights.
    """
    fields = header.model_dump(
        mode="json", exclude={"policy": {"start": True}, "training_energy_calls": True}
    )
    kind = header.policy.name
    return save_weights(Path(folder) / FILES[which], network.state_dict(), {"kind": kind, **fields})


def read_policy(
    run: Path | str, which: str | None = None
) -> tuple[dict[str, torch.Tensor], AgentHeader]:
    """Return the weights of a policy and their header.

    Args:
        run: run folder, or JSON file of a policy.
        which: of a run folder: ``last``, ``best`` (by evaluation during the training) or
            ``average`` (of the weights over the updates); None: the best if there is one, else the
            last.

    Raises:
        InputError: if there is no such policy, or its file is corrupted.
    """
    path = policy_file(run, which)
    tensors, head = load_weights(path, kind=kind_of(path))
    head = {"task": head["bag"], **head} if "bag" in head else head
    fields = {key: head[key] for key in AgentHeader.model_fields if key in head}
    return tensors, parse_config(fields, AgentHeader, where=str(path))


def save_model(folder: Path | str, model: BaseAlgorithm) -> str:
    """Write the policy of a model of SB3, which then generates like that of a run.

    Args:
        folder: where to write; it is created.
        model: trained with a :class:`molrl.agents.policy.NetworkPolicy`, in a
            :class:`molrl.agents.vec_env.SB3VecEnv` that may be wrapped.

    Returns:
        SHA-256 of the weights.

    Raises:
        InputError: if the model has another policy or environment.

    Example:
        >>> model = PPO(CovariantPolicy, SB3VecEnv(envs)).learn(30_000)  # doctest: +SKIP
        >>> save_model("runs/mine", model)  # doctest: +SKIP
        >>> made = molrl.load_generator("run:runs/mine").generate(  # doctest: +SKIP
        ...     "CH4O", n=100, seed=0
        ... )
        >>> molrl.evaluate(made.molecules).summary()  # doctest: +SKIP
    """
    if not isinstance(model, BaseAlgorithm):
        raise InputError(f"a model of stable-baselines3 such as PPO is saved, not {model!r}")
    policy, env = model.policy, model.get_env()
    while isinstance(env, VecEnvWrapper):
        env = env.venv
    if not isinstance(policy, NetworkPolicy):
        raise InputError(
            f"a model with {type(policy).__name__} cannot be saved as an agent; train one with "
            "CovariantPolicy or NetworkPolicy"
        )
    if not isinstance(env, SB3VecEnv):
        raise InputError(
            "the model has no environment of molrl, which tells the task and the energy; load it "
            "with env=SB3VecEnv(...)"
        )
    Path(folder).mkdir(parents=True, exist_ok=True)
    return save_agent(folder, policy.network, describe_policy(policy.config, env.env))


class AgentGenerator:
    """Generator that samples the stochastic policy of a trained agent.

    Args:
        run: run folder of ``molrl train``, or JSON file of a policy.
        energy: energy model of the returns; None: that of the training.
        device: device of the network: ``auto``, ``cpu`` or ``cuda``.
        reward: reward terms of the returns; None: there are no returns, and no energy is evaluated.
        policy: ``"best"``, ``"average"`` or ``"last"`` of a run folder; None: the best if the run
            has one, else the last.
        temperature: of the sampling, T: each density is taken to the power 1 / T. Below 1 more
            molecules are valid and less strained, and fewer are different; None: that of the
            evaluations of the training, ``evaluation.temperature``.

    Raises:
        InputError: if there is no policy, its file is corrupted, the temperature is below 0.001,
            or the policy has none, an energy model is named without a reward, or there are to be
            returns, and the energy model has changed since the training.

    Example:
        >>> generator = AgentGenerator("runs/quickstart")  # doctest: +SKIP
        >>> made = generator.generate("CH4O", n=10, seed=0)  # doctest: +SKIP
    """

    kind: ClassVar[str | None] = None  # of the policies that it samples; None: any
    shipped: ClassVar[Path | None] = None  # the policy without a run

    def __init__(
        self,
        run: str | Path | None = None,
        energy: str | EnergyModel | None = None,
        device: str = "auto",
        reward: Mapping[str, Any] | None = None,
        policy: str | None = None,
        temperature: float | None = None,
    ) -> None:
        if temperature is not None and not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
            raise InputError(
                f"temperature must be {MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}, not "
                f"{temperature!r}"
            )
        if run is None:
            if self.shipped is None:
                kind = self.kind or "run"
                raise InputError(f"an agent needs the run folder of its training; write {kind}:RUN")
            run = self.shipped
            if reward is not None and energy is None:
                energy = "mace"  # whichever ships: no energy was evaluated in the training
        if reward is None and isinstance(energy, str):
            raise InputError(
                f"energy {energy} would not be used: it is that of the returns, which need a reward"
                "; leave it out, or give a reward, such as 'reward={energy: 1.0}'"
            )
        check_owner(run, FILES["last"])
        tensors, self.header = read_policy(run, policy)
        if self.kind not in (None, self.header.policy.name):
            raise InputError(
                f"{run} has a policy of kind {self.header.policy.name}, not {self.kind}; write "
                f"run:{run}"
            )
        self._reward = reward
        self.temperature = self.header.temperature if temperature is None else temperature
        self._mentioned: set[int] = set()
        self.energy = None if reward is None else self._load_energy(run, energy, device)
        self.name = self.header.policy.name
        self.device = torch.device(resolve_device(device))
        with torch.random.fork_rng(devices=[]):  # the initial weights are drawn, and then replaced
            self._network = build_network(self.header.policy, self.header.inputs)
        try:
            self._network.load_state_dict(tensors)
        except RuntimeError:
            raise InputError(
                f"{run}, trained against {self.header.energy} {self.header.energy_hash}, does not "
                f"fit the {self.name} network of this version of molrl; train it again"
            ) from None
        self._network.to(self.device).eval()
        self._size = TrainedSize(
            f"the {self.name} policy", _heavy_atoms(self.header.task), "heavy atoms"
        )

    def generate(self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int) -> Generated:
        """Generate ``n`` molecules; see :class:`molrl.generation.Generator`.

        A line tells of a task whose molecules are larger than those of the training, or whose
        fixed atoms are of elements that it had not.

        Raises:
            InputError: if the task has points to fill or refills, and that of the training had
                none, or a bag holds an element that the policy does not know.
        """
        task = parse_task(task)
        self._check_elements(task)
        self._check_observed(task)
        problem = self._problem(task)
        self._size.mention(_heavy_atoms(task), str(task))
        self._mention_elements(task)
        made = generate(problem, Actions(self._act, self._network.n_noise), n, seed)
        if self.energy is None:
            made = replace(made, returns=None, energy_calls=0)
        return replace(made, temperature=self.temperature)

    def _load_energy(
        self, run: str | Path, energy: str | EnergyModel | None, device: str
    ) -> EnergyModel:
        """Return the energy model of the returns."""
        loaded = load_energy(self.header.energy if energy is None else energy, device)
        if energy is None and loaded.hash != self.header.energy_hash:
            raise InputError(
                f"{run} was trained against {self.header.energy} {self.header.energy_hash}, but "
                f"{self.header.energy} is now {loaded.hash}; name the energy model to use "
                "instead (--energy)"
            )
        return loaded

    def _check_elements(self, task: Task) -> None:
        for number in sorted(task.elements - {*self.header.elements}):
            known = " ".join(chemical_symbols[z] for z in self.header.elements)
            raise InputError(
                f"{task} holds {chemical_symbols[number]}, and the {self.name} policy knows {known}"
                "; train one on it, or take random-search with energy=gfn2, which knows H to Rn"
            )

    def _check_observed(self, task: Task) -> None:
        trained, asked = self.header.inputs, Inputs.of_task(task, len(self.header.elements))
        for what, has, wants in (
            ("points to fill", trained.points, asked.points),
            ("refills of the bag", trained.refills, asked.refills),
        ):
            if wants and not has:
                raise InputError(
                    f"the policy does not observe {what}, which a task of kind {task.kind} has, as "
                    f"it was trained on {self.header.task}; train one on such a task"
                )

    def _mention_elements(self, task: Task) -> None:
        known = {*self.header.elements, *_fixed_elements(self.header.task), *self._mentioned}
        for unknown in sorted(_fixed_elements(task) - known):
            self._mentioned.add(unknown)
            log_message(
                f"the {self.name} policy was not trained on {chemical_symbols[unknown]}, which is "
                "among the fixed atoms; few molecules may come out right"
            )

    def _problem(self, task: Task) -> Problem:
        rules = self.header.rules
        config = EnvConfig(
            task=task,
            energy=self.energy or NoEnergy(),
            elements=self.header.elements,
            canvas_size=canvas_size(task, rules),
            rules=rules if self.energy else rules.model_copy(update={"max_uncertainty": None}),
            reward=_SAMPLING if self._reward is None else dict(self._reward),
        )
        return Problem(config)

    def _act(self, observation: Observation, noise: NDArray[np.float64]) -> NDArray[np.float32]:
        return draw_actions(self._network, observation, noise, self.temperature)


def _heavy_atoms(task: Task) -> int:
    """Return the number of heavy atoms of the largest molecules of a task."""
    bags = (instance.finished_bag for instance in task.examples)
    return max(sum(number > 1 for number in bag.numbers) for bag in bags)


def _fixed_elements(task: Task) -> set[int]:
    """Return the atomic numbers of the fixed atoms of a task."""
    return {number for each in task.examples for number in each.fixed.numbers.tolist()}


def draw_actions(
    network: PolicyNetwork,
    observation: Observation,
    noise: NDArray[np.float64],
    temperature: float = 1.0,
) -> NDArray[np.float32]:
    """Return actions ``(b, 5)`` of a policy.

    Args:
        network: of the policy.
        observation: of b canvases.
        noise: ``(b, n_noise)`` uniform in [0, 1), all the randomness that there is.
        temperature: of :meth:`PolicyNetwork.act_tempered`.
    """
    device = next(network.parameters()).device
    tensors = {key: torch.as_tensor(array, device=device) for key, array in observation.items()}
    with torch.no_grad():
        drawn = torch.as_tensor(noise, dtype=torch.float32, device=device)
        if temperature == 1:
            made = network.act(tensors, drawn)
        else:
            made = network.act_tempered(tensors, drawn, temperature)
    actions = made.actions
    return actions.cpu().numpy()
