"""Trained agents as generators of molecules, and their files."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from molrl.agents.config import PolicyConfig
from molrl.agents.kept import FILES
from molrl.agents.network import Actor, CovariantNetwork
from molrl.agents.rollout import generate
from molrl.bags import Bag
from molrl.energy import EnergyModel, load_energy
from molrl.energy.registry import resolve_device
from molrl.envs.config import EnvConfig, Rules
from molrl.envs.problem import Problem
from molrl.envs.spaces import Observation
from molrl.errors import InputError, did_you_mean
from molrl.generation import Generated
from molrl.rewards import contains_code
from molrl.runs.config import Config, parse_config
from molrl.runs.progress import log_message
from molrl.runs.weights import load_weights, save_weights
from molrl.tasks import AnyTask, Task, parse_task

KIND = "covariant"
_SAMPLING = {"energy": 1.0}  # where no reward is known; only the rules matter for sampling


class AgentHeader(Config):
    """Header of a file of policy weights.

    Attributes:
        policy: configuration of the network.
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
    """

    policy: PolicyConfig
    elements: tuple[int, ...]
    energy: str
    energy_hash: str
    task: AnyTask
    rules: Rules = Rules()
    reward: dict[str, Any] | None = Field(default={"energy": 1.0})
    max_steps: int | None = None
    steps: int | None = None


def save_agent(
    folder: Path | str, network: CovariantNetwork, header: AgentHeader, which: str = "last"
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
    fields = header.model_dump(mode="json", exclude={"policy": {"start"}})
    return save_weights(Path(folder) / FILES[which], network.state_dict(), {"kind": KIND, **fields})


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
    path = _policy_file(Path(run), which)
    tensors, head = load_weights(path, kind=KIND)
    head = {"task": head["bag"], **head} if "bag" in head else head
    fields = {key: head[key] for key in AgentHeader.model_fields if key in head}
    return tensors, parse_config(fields, AgentHeader, where=str(path))


def _policy_file(run: Path, which: str | None) -> Path:
    if which is None:
        if run.suffix == ".json":
            return run
        best = run / FILES["best"]
        return best if best.is_file() else run / FILES["last"]
    if which not in FILES:
        raise InputError(f"policy {which!r} is not kept; {did_you_mean(which, FILES)}")
    if run.suffix == ".json":
        raise InputError(f"{run} is one policy; leave out policy={which}, or give the run folder")
    if not (path := run / FILES[which]).is_file():
        raise InputError(f"{run} has no {which} policy, the file {path.name}; name another")
    return path


def check_observed(task: Task) -> None:
    """Check that the covariant policy observes all of a task.

    Args:
        task: what to make.

    Raises:
        InputError: if it has points to fill or a bag that is refilled.
    """
    example = task.examples[0]
    if len(example.shape) or example.refills:
        unseen = "points to fill" if len(example.shape) else "refills of the bag"
        raise InputError(
            f"the covariant policy does not observe {unseen}, which a task of kind {task.kind} "
            "has; give a task without, such as bag, scaffold or linker"
        )


class AgentGenerator:
    """Generator that samples the stochastic policy of a trained covariant agent.

    Args:
        run: run folder of ``molrl train``, or JSON file of a policy.
        energy: energy model; None: that of the training.
        device: device of the network: ``auto``, ``cpu`` or ``cuda``.
        reward: reward terms of the returns; None: those of the header. Without any, or if those
            of the header do not fit a task, there are no returns.
        policy: ``"best"``, ``"average"`` or ``"last"`` of a run folder, as in
            :func:`read_policy`; None: the best if the run has one, else the last.

    Raises:
        InputError: if there is no policy, its file is corrupted, or the energy model has changed
            since the training.

    Example:
        >>> generator = AgentGenerator("runs/quickstart")  # doctest: +SKIP
        >>> made = generator.generate("CH4O", n=10, seed=0)  # doctest: +SKIP
    """

    name = "covariant"

    def __init__(
        self,
        run: str | Path | None = None,
        energy: str | EnergyModel | None = None,
        device: str = "auto",
        reward: Mapping[str, Any] | None = None,
        policy: str | None = None,
    ) -> None:
        if run is None:
            raise InputError(
                "a covariant agent needs the run folder of its training; write covariant:RUN"
            )
        tensors, self.header = read_policy(run, policy)
        if contains_code(self.header.reward):
            self.header = self.header.model_copy(update={"reward": None})
            log_message(f"{run} names code in its reward, which is not run; there are no returns")
        self._reward = reward
        self.energy = load_energy(self.header.energy if energy is None else energy, device)
        if energy is None and self.energy.hash != self.header.energy_hash:
            raise InputError(
                f"{run} was trained against {self.header.energy} {self.header.energy_hash}, but "
                f"{self.header.energy} is now {self.energy.hash}; name the energy model to use "
                "instead (--energy)"
            )
        self.device = torch.device(resolve_device(device))
        with torch.random.fork_rng(devices=[]):  # the initial weights are drawn, and then replaced
            self._network = CovariantNetwork(self.header.policy, len(self.header.elements))
        try:
            self._network.load_state_dict(tensors)
        except RuntimeError as error:
            raise InputError(f"{run} does not fit the network of its header: {error}") from None
        self._network.to(self.device).eval()

    def generate(self, task: Task | Mapping[str, Any] | Bag | str, n: int, seed: int) -> Generated:
        """Generate ``n`` molecules; see :class:`molrl.generation.Generator`.

        The policy sees atoms and a bag: tasks with points to fill or refills are refused.
        """
        task = parse_task(task)
        check_observed(task)
        reward = self.header.reward if self._reward is None else self._reward
        try:
            problem = self._problem(task, reward or _SAMPLING)
        except InputError as error:
            if self._reward is not None:
                raise
            problem, reward = (
                self._problem(task, _SAMPLING),
                None,
            )  # raises if the task is the cause
            log_message(
                f"{error}; the molecules are generated without the policy's reward and returns"
            )
        made = generate(problem, self._act, n, seed)
        return made if reward else replace(made, returns=None)

    def _problem(self, task: Task, reward: Mapping[str, Any]) -> Problem:
        config = EnvConfig(
            task=task,
            energy=self.energy,
            elements=self.header.elements,
            canvas_size=task.max_atoms,
            rules=self.header.rules,
            reward=dict(reward),
            max_steps=self.header.max_steps,
        )
        return Problem(config)

    def _act(self, observation: Observation, noise: NDArray[np.float64]) -> NDArray[np.float32]:
        return draw_actions(self._network, observation, noise)


def draw_actions(
    network: CovariantNetwork, observation: Observation, noise: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return actions ``(b, 5)`` of a policy.

    Args:
        network: of the policy.
        observation: of b canvases.
        noise: ``(b, n_noise)`` uniform in [0, 1), all the randomness that there is.
    """
    device = next(network.parameters()).device
    tensors = {key: torch.as_tensor(array, device=device) for key, array in observation.items()}
    with torch.no_grad():
        drawn = torch.as_tensor(noise, dtype=torch.float32, device=device)
        actions = Actor(network, tensors).sample(drawn)
    return actions.cpu().numpy()
