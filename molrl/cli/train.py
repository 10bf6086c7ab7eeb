"""``molrl train``: an agent learns, and what it has learned is judged."""

from argparse import Namespace
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import numpy as np

from molrl.agents.generator import AgentGenerator, save_agent
from molrl.agents.resume import restore, snapshot
from molrl.agents.training import AgentTraining
from molrl.cli.experiment import AGENTS, ExperimentConfig
from molrl.energy.registry import load_energy, resolve_device
from molrl.envs.vector import MolDesignVectorEnv
from molrl.evaluation.judge import judge
from molrl.evaluation.outputs import draw_best, write_molecules
from molrl.evaluation.plots import plot_learning_curve
from molrl.evaluation.reference import reference_return
from molrl.evaluation.table import format_table
from molrl.generation import Generated
from molrl.runs.config import load_config
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import MetricsLog, read_metrics
from molrl.runs.progress import progress, tell


def train(arguments: Namespace) -> int:
    """Begin a run, train to its end, and judge what came of it.

    Raises:
        InputError: if anything that can be checked beforehand is wrong; nothing is written then.
    """
    config = load_config(arguments.config, arguments.overrides, ExperimentConfig)
    RunFolder(config.run_dir).check_free()
    run = Run(config)
    folder = RunFolder.create(config.run_dir, config, "train")
    run.finish(folder)
    return 0


def go_on(folder: RunFolder) -> None:
    """Go on with a training where its latest sound checkpoint was taken.

    Raises:
        InputError: if it has checkpoints and none is sound, or what it was begun with is gone.
    """
    config = folder.load_config(ExperimentConfig)
    checkpoint = folder.checkpoints.load_latest(tell)
    run = Run(config)
    if checkpoint:
        restore(run.training, checkpoint)
        run.seconds = checkpoint.state["seconds"]
    run.finish(folder)


class Run:
    """A training on its way to the closing table.

    Args:
        config: what was asked for.

    Attributes:
        config: the same.
        training: the agent, its environments and its optimiser.
        reference: eV, the return of the best known isomer.
        seconds: how long the run took before this process.

    Raises:
        InputError: if the energy model, the bag, the rules and the network do not go together.
    """

    def __init__(self, config: ExperimentConfig) -> None:
        device = resolve_device(config.device)
        env = MolDesignVectorEnv(
            num_envs=config.ppo.num_envs,
            autoreset_mode="SameStep",
            bag=config.task.bag,
            energy=load_energy(config.energy, device),
            **{name: getattr(config.env, name) for name in type(config.env).model_fields},
        )
        self.config = config
        self.training: AgentTraining = AGENTS.load(config.agent)(
            env, config.policy, config.ppo, config.total_steps, config.seed, device
        )
        self.reference = reference_return(config.task.bag, env.energy_model)
        self.seconds = 0.0
        self._began = perf_counter()
        self._saved = 0

    def finish(self, folder: RunFolder) -> None:
        """Train to the end, judge the final policy, and print the closing table last.

        Raises:
            RunFailed: on an error that nobody foresaw; the folder holds its traceback.
        """
        with folder.logging_failure():
            self._train(folder)
            # by the config's name, which for weights of one's own is more than the model's
            header = self.training.header.model_copy(update={"energy": self.config.energy})
            save_agent(folder.path, self.training.network, header)
            summary = self._judge(folder)
            folder.write_summary(summary)
        print(f"run folder: {folder.path}")
        print(format_table(summary))

    def _train(self, folder: RunFolder) -> None:
        config, done = self.config, self.training.ppo.num_timesteps
        self._saved = done
        print(
            f"training {config.agent} on {config.task.bag} against {config.energy}; "
            f"the best known isomer is worth {self.reference:.2f} eV",
            flush=True,
        )
        if done >= config.total_steps:
            return
        with (
            MetricsLog(folder.metrics_file, folder.tensorboard, steps=done) as log,
            progress(config.total_steps, "train", done) as bar,
        ):

            def on_update(step: int, figures: Mapping[str, float]) -> None:
                row = {"steps": step, "return_fraction": figures["return"] / self.reference}
                row |= figures
                log.append(row)
                shown = {"return_fraction": row["return_fraction"]}
                bar.update(step, **shown, valid=figures["valid_fraction"])
                self._save(folder, step)

            self.training.run(on_update)

    def _save(self, folder: RunFolder, step: int) -> None:
        every = self.config.checkpoint_every
        if step // every == self._saved // every:
            return
        checkpoint = snapshot(self.training)
        checkpoint.state["seconds"] = self._elapsed()
        folder.checkpoints.save(checkpoint)
        self._saved = step

    def _elapsed(self) -> float:
        return self.seconds + perf_counter() - self._began

    def _judge(self, folder: RunFolder) -> dict[str, Any]:
        bag, energy = self.config.task.bag, self.training.env.energy_model
        generator = AgentGenerator(folder.path, energy, str(self.training.ppo.device))
        made = generator.generate(bag, self.config.evaluation.n_molecules, self.config.seed)
        verdict = judge(made.molecules)
        write_molecules(verdict, folder.path)
        draw_best(verdict, folder.picture_file)
        rows, title = read_metrics(folder.metrics_file), f"{bag}, {self.config.energy}"
        plot_learning_curve(rows, folder.curve_file, title)
        figures = verdict.summary()
        return {
            "bag": bag,
            **_returns(made, self.reference),
            **figures,
            "valid_fraction_per_attempt": figures["n_valid"] / made.attempts,
            "seconds": self._elapsed(),
            "endings": dict(sorted(self.training.env.endings.items())),
        }


def _returns(made: Generated, reference: float) -> dict[str, Any]:
    """What the stochastic policy is paid, failed episodes included, in eV and of the best known."""
    assert made.returns is not None
    mean = float(np.mean(made.returns))
    return {
        "return_fraction": mean / reference,
        "mean_return": mean,
        "reference_return": reference,
        "attempts": made.attempts,
        "energy_calls": made.energy_calls,
        "network_calls": made.network_calls,
    }
