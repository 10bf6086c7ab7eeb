"""The run of ``molrl train``: an agent, its environments, and the evaluation at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import numpy as np

from molrl.agents.algorithms.interface import load_callbacks
from molrl.agents.evaluation import PolicyEvaluator
from molrl.agents.generator import AgentGenerator
from molrl.agents.trainable import TrainableAgent
from molrl.agents.training import AgentTraining
from molrl.cli.configs import mention_invalid
from molrl.cli.experiment import ExperimentConfig
from molrl.energy.registry import load_energy, resolve_device
from molrl.envs.vector import MolDesignVectorEnv
from molrl.errors import InputError
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.outputs import draw_best, write_molecules
from molrl.evaluation.reference import best_known_energy, find_best_known
from molrl.generation import Generated, NotCompleted
from molrl.plotting.learning_curve import plot_learning_curve
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import read_metrics
from molrl.runs.progress import log_message, waiting
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import Closing

ENERGY_ALONE = {"energy": 1.0}  # the reward that a return fraction is of


class AgentRun(TrainableAgent):
    """The training of an agent, and the evaluation of its policy.

    Args:
        config: of the run.
        ranks: the processes that share the training; the main one writes and evaluates.

    Attributes:
        reference: eV, the return of the best known isomer; None for a task that has none.

    Raises:
        InputError: if the energy model, the task, the rules and the network do not fit together.
    """

    def __init__(self, config: ExperimentConfig, ranks: Ranks) -> None:
        began = perf_counter()
        training = _training(config, ranks)
        if config.evaluation.temperature != 1 and not training.network.has_temperature:
            raise InputError(
                f"evaluation.temperature: the policy {config.policy.name} has none; leave it out"
            )
        problem = training.env.problem
        before = problem.energy_model.evaluations
        self._best_known = find_best_known(config.task, problem.energy_model)
        searched = problem.energy_model.evaluations - before
        mention_invalid(config.task)
        self.reference = self._best_known.value if self._best_known else None
        evaluator = PolicyEvaluator(
            problem,
            config.evaluation.n_episodes,
            config.seed,
            self.reference if config.env.reward == ENERGY_ALONE else None,
            config.evaluation.temperature,
        )
        super().__init__(training, evaluator, config.ema, config.policy.start)
        # those of the search for the best known isomer are none of the training; its faults count
        self._counted_calls = searched
        self.began = began
        self.config: ExperimentConfig = config
        self.total_steps = config.total_steps
        self.checkpoint_every = config.checkpoint_every
        self.evaluate_every = config.evaluate_every
        self.heading = (
            f"training {config.policy.name} on {config.task} against {config.energy}; "
            f"{self._describe_reference()}"
        )

    def _describe_reference(self) -> str:
        if self.reference is None:
            return "no isomer is known to compare the return with"
        if self.config.env.reward != ENERGY_ALONE:
            return "the reward has other terms than the energy, so that there is no return fraction"
        return f"the best known isomer has a return of {self.reference:.2f} eV"

    def summarise(self, folder: RunFolder) -> Closing:
        """Evaluate molecules of the best policy, or of the last if none was evaluated.

        Args:
            folder: of the run; the curve, the molecules and their picture are written there.
        """
        title = f"{self.config.task}, {self.config.energy}"
        rows, evaluations = (
            read_metrics(file) for file in (folder.metrics_file, folder.evaluations_file)
        )
        plot_learning_curve(rows, folder.curve_file, title, evaluations)
        figures = self._evaluate_sample(folder)
        self.faults += self.training.env.energy_model.faults - self._counted
        for what, times in sorted(self.faults.items()):
            log_message(f"energy faults during the run: {what}, {times} times")
        summary = {
            "task": self.config.task.model_dump(mode="json"),
            "reference_return": self.reference,
            **figures,
            "training_energy_calls": self.energy_calls,
            "seconds": self.elapsed,
            "reference_seconds": self._best_known.seconds if self._best_known else None,
            "endings": dict(sorted(self.endings.items())),
            "energy_faults": dict(sorted(self.faults.items())),
        }
        table = summary | {"task": str(self.config.task)}
        return Closing(summary, table, (f"run folder: {folder.path}",))

    def _evaluate_sample(self, folder: RunFolder) -> dict[str, Any]:
        """Return the figures of molecules of the policy; few if it cannot complete any."""
        energy = self.training.env.energy_model
        device, reward = self.training.device, self.config.env.reward
        which = "best" if "best" in self.kept.names() else "last"
        temperature = self.config.evaluation.temperature
        generator = AgentGenerator(folder.path, energy, device, reward, which, temperature)
        described = {
            "policy": which,
            "policy_steps": self.kept.steps(which),
            "temperature": temperature,
        }
        n, seed = self.config.evaluation.n_molecules, self.config.seed
        try:
            with waiting("making molecules"):
                made = generator.generate(self.config.task, n, seed)
        except NotCompleted as error:
            log_message(f"no molecules to evaluate: {error}")
            mean = float(np.mean(error.returns))
            return {
                **described,
                "return_fraction": self._evaluator.fraction(mean),
                "mean_return": mean,
                "attempts": error.attempts,
                "n_molecules": 0,
                "valid_fraction_per_attempt": 0.0,
            }
        returns = _returns(made)
        with waiting("evaluating molecules"):
            report = evaluate_molecules(made.molecules)
        write_molecules(report, folder.path)
        best = best_known_energy(report, self._best_known)
        draw_best(report, folder.picture_file, best)
        figures = report.summary()
        return {
            **described,
            "return_fraction": self._evaluator.fraction(returns["mean_return"]),
            **returns,
            **figures,
            "valid_fraction_per_attempt": figures["n_valid"] / made.attempts,
        }


@contextmanager
def build(config: ExperimentConfig, ranks: Ranks) -> Iterator[AgentRun]:
    """Make the training of a config; see :data:`molrl.cli.training.BUILDERS`."""
    yield AgentRun(config, ranks)


def _training(config: ExperimentConfig, ranks: Ranks) -> AgentTraining:
    device = resolve_device(config.device)
    env = MolDesignVectorEnv(
        num_envs=config.algorithm.num_envs,
        autoreset_mode="SameStep",
        task=config.task,
        energy=load_energy(config.energy, device),
        **{name: getattr(config.env, name) for name in type(config.env).model_fields},
    )
    return AgentTraining(
        env,
        config.policy,
        config.algorithm,
        config.total_steps,
        config.seed,
        device,
        ranks,
        load_callbacks(config.callbacks),
    )


def _returns(made: Generated) -> dict[str, Any]:
    """Return the mean return of the stochastic policy, failed episodes included, and its cost."""
    assert made.returns is not None
    return {
        "mean_return": float(np.mean(made.returns)),
        "attempts": made.attempts,
        "energy_calls": made.energy_calls,
        "network_calls": made.network_calls,
    }
