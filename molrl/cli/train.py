"""``molrl train``: training of an agent, and evaluation of its molecules."""

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import Any

import numpy as np

from molrl.agents.algorithm import load_callbacks
from molrl.agents.generator import AgentGenerator, save_agent
from molrl.agents.resume import restore, snapshot
from molrl.agents.training import AgentTraining
from molrl.cli.experiment import ExperimentConfig
from molrl.energy.registry import load_energy, resolve_device
from molrl.envs.vector import MolDesignVectorEnv
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.outputs import draw_best, write_molecules
from molrl.evaluation.reference import best_known_energy, find_best_known
from molrl.evaluation.table import format_table
from molrl.generation import Generated, NotCompleted
from molrl.plotting.learning_curve import plot_learning_curve
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import MetricsLog, read_metrics
from molrl.runs.progress import log_message, progress
from molrl.runs.ranks import Ranks, process_group
from molrl.runs.signals import Stopped, stopping_when_saved

OnUpdate = Callable[[int, Mapping[str, float]], None]


def train(arguments: Namespace) -> int:
    """Create a run, train to the end, and evaluate the final policy.

    Args:
        arguments: of the command: ``config``, an :class:`ExperimentConfig`.

    Returns:
        The exit code.

    Raises:
        InputError: if the config does not fit the model, or the run folder is in use; nothing is
            written then.
    """
    config: ExperimentConfig = arguments.config
    with process_group() as ranks:
        run = Run(config, ranks)
        folder = RunFolder(config.run_dir)
        if ranks.is_main:
            folder = RunFolder.create(config.run_dir, config, "train")
        run.finish(folder)
    return 0


def resume(folder: RunFolder) -> None:
    """Resume a training from its latest valid checkpoint, and evaluate the final policy.

    Args:
        folder: the folder of the run.

    Raises:
        InputError: if it has checkpoints and none is valid, or its energy model is missing.
    """
    config = folder.load_config(ExperimentConfig)
    with process_group() as ranks, folder.lock() if ranks.is_main else nullcontext():
        checkpoint = folder.checkpoints.load_latest(log_message)
        run = Run(config, ranks)
        if checkpoint:
            run.restore(checkpoint)
        run.finish(folder)


class Run:
    """A training and the evaluation that follows it.

    Args:
        config: of the run.
        ranks: the processes that share the training; the main one writes and evaluates.

    Attributes:
        config: as given.
        training: the agent, its environments and its optimiser.
        reference: eV, the return of the best known isomer; None for a task that has none.
        seconds: wall time of the run before this process.
        endings: number of episodes of the finished training by the reason they ended.
        faults: number of faults of the energy model by kind, as last gathered from the ranks.

    Raises:
        InputError: if the energy model, the task, the rules and the network do not fit together.
    """

    def __init__(self, config: ExperimentConfig, ranks: Ranks) -> None:
        self._began = perf_counter()
        device = resolve_device(config.device)
        energy = load_energy(config.energy, device)
        self._counted: Counter[str] = Counter()
        env = MolDesignVectorEnv(
            num_envs=config.algorithm.num_envs,
            autoreset_mode="SameStep",
            task=config.task,
            energy=energy,
            **{name: getattr(config.env, name) for name in type(config.env).model_fields},
        )
        self.config, self.ranks = config, ranks
        self.training = AgentTraining(
            env,
            config.policy,
            config.algorithm,
            config.total_steps,
            config.seed,
            device,
            ranks,
            load_callbacks(config.callbacks),
        )
        self._best_known = find_best_known(config.task, env.energy_model)
        self.reference = self._best_known.value if self._best_known else None
        self.seconds = 0.0
        self.endings: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self._saved = 0

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint.

        Args:
            checkpoint: of the same config.

        Raises:
            InputError: if it does not fit the training.
        """
        restore(self.training, checkpoint)
        self.seconds = checkpoint.state["seconds"]
        self.faults = Counter(checkpoint.state["faults"])
        self._saved = checkpoint.step

    def finish(self, folder: RunFolder) -> None:
        """Train to the end, evaluate the final policy, and print the summary.

        Args:
            folder: the folder of the run.

        Raises:
            RunFailed: on an unexpected error; the folder holds its traceback.
            Stopped: by a signal, after the state was saved.
        """
        if not self.ranks.is_main:
            self._train(folder, lambda step, figures: None)
            return
        with folder.lock_and_log():
            print(
                f"training {self.config.policy.name} on {self.config.task} against "
                f"{self.config.energy}; {self._describe_reference()}",
                flush=True,
            )
            with self._metrics(folder) as show:
                self._train(folder, show)
            save_agent(folder.path, self.training.network, self.training.header)
            summary = self._evaluate(folder)
            folder.write_summary(summary)
        for what, times in sorted(self.faults.items()):
            log_message(f"energy faults during the run: {what}, {times} times")
        print(f"run folder: {folder.path}")
        print(format_table(summary | {"task": str(self.config.task)}))

    @contextmanager
    def _metrics(self, folder: RunFolder) -> Iterator[OnUpdate]:
        """Yield a function that logs and shows the metrics of an update."""
        done = self.training.steps
        with (
            MetricsLog(folder.metrics_file, folder.tensorboard, steps=done) as log,
            progress(self.config.total_steps, "train", done) as bar,
        ):

            def show(step: int, figures: Mapping[str, float]) -> None:
                fraction = self._fraction(figures["return"])
                log.append({"steps": step, "return_fraction": fraction, **figures})
                bar.update(step, return_fraction=fraction, valid=figures["valid_fraction"])

            yield show

    def _train(self, folder: RunFolder, show: OnUpdate) -> None:
        """Train to the end on every rank, and gather :attr:`endings` and faults of all ranks."""
        if self.training.steps < self.config.total_steps:
            with stopping_when_saved() as stop:

                def on_update(step: int, figures: Mapping[str, float]) -> None:
                    show(step, figures)
                    number = self.ranks.all_reduce_max(stop.number)
                    if number or self._due(step):
                        self._save(folder, step)
                    if number:
                        self.ranks.gather(None)  # torchrun kills the others when a rank ends
                        raise Stopped(number, f"saved at step {step}")

                self.training.run(on_update)
        for endings in self.ranks.gather(self.training.env.endings):
            self.endings += endings
        self._gather_faults()

    def _due(self, step: int) -> bool:
        every = self.config.checkpoint_every
        return step // every != self._saved // every or step >= self.config.total_steps

    def _save(self, folder: RunFolder, step: int) -> None:
        self._gather_faults()
        checkpoint = snapshot(self.training)
        checkpoint.state.update(seconds=self._elapsed(), faults=dict(self.faults))
        if self.ranks.is_main:
            folder.checkpoints.save(checkpoint)
        self._saved = step

    def _gather_faults(self) -> None:
        """Add the faults of all ranks since the last call, on the main rank."""
        model = self.training.env.energy_model
        for new in self.ranks.gather(model.faults - self._counted):
            self.faults += new
        self._counted = model.faults.copy()

    def _describe_reference(self) -> str:
        if self.reference is None:
            return "no isomer is known to compare the return with"
        return f"the best known isomer has a return of {self.reference:.2f} eV"

    def _fraction(self, value: float) -> float | None:
        """Return a return over that of the best known isomer; None where they do not compare."""
        comparable = self.config.env.reward == {"energy": 1.0}
        return value / self.reference if self.reference is not None and comparable else None

    def _elapsed(self) -> float:
        return self.seconds + perf_counter() - self._began

    def _evaluate(self, folder: RunFolder) -> dict[str, Any]:
        title = f"{self.config.task}, {self.config.energy}"
        rows = read_metrics(folder.metrics_file)
        plot_learning_curve(rows, folder.curve_file, title)
        figures = self._evaluate_sample(folder)
        self.faults += self.training.env.energy_model.faults - self._counted
        return {
            "task": self.config.task.model_dump(mode="json"),
            "reference_return": self.reference,
            **figures,
            "seconds": self._elapsed(),
            "reference_seconds": self._best_known.seconds if self._best_known else None,
            "endings": dict(sorted(self.endings.items())),
            "energy_faults": dict(sorted(self.faults.items())),
        }

    def _evaluate_sample(self, folder: RunFolder) -> dict[str, Any]:
        """Return the figures of molecules of the policy; few if it cannot complete any."""
        energy = self.training.env.energy_model
        device, reward = self.training.device, self.config.env.reward
        generator = AgentGenerator(folder.path, energy, device, reward)
        n, seed = self.config.evaluation.n_molecules, self.config.seed
        try:
            made = generator.generate(self.config.task, n, seed)
        except NotCompleted as error:
            log_message(f"no molecules to evaluate: {error}")
            return {"return_fraction": None, "n_molecules": 0}
        returns = _returns(made)
        report = evaluate_molecules(made.molecules)
        write_molecules(report, folder.path)
        best = best_known_energy(report, self._best_known)
        draw_best(report, folder.picture_file, best)
        figures = report.summary()
        return {
            "return_fraction": self._fraction(returns["mean_return"]),
            **returns,
            **figures,
            "valid_fraction_per_attempt": figures["n_valid"] / made.attempts,
        }


def _returns(made: Generated) -> dict[str, Any]:
    """Return the mean return of the stochastic policy, failed episodes included, and its cost."""
    assert made.returns is not None
    return {
        "mean_return": float(np.mean(made.returns)),
        "attempts": made.attempts,
        "energy_calls": made.energy_calls,
        "network_calls": made.network_calls,
    }
