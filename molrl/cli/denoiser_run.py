"""The run of ``molrl train`` of a denoiser: the training, and the evaluation of its molecules."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from molrl.chemistry.bonds import validity
from molrl.chemistry.training_set import TrainingSet, load_training_set
from molrl.energy.registry import resolve_device
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.outputs import draw_best, write_molecules
from molrl.generation import Generated
from molrl.generators.diffusion.card import write_card
from molrl.generators.diffusion.config import DenoiserConfig
from molrl.generators.diffusion.generator import DenoisingGenerator
from molrl.generators.diffusion.training import DenoiserTraining
from molrl.parts import GENERATORS
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import Figure
from molrl.runs.progress import waiting
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import Closing, OnUpdate
from molrl.tasks.bags import BagsTask


class DenoiserRun(DenoiserTraining):
    """The training of a denoiser in a run folder.

    Args:
        config: of the run.
        data: the molecules.
        device: where to compute.
        ranks: those that train together.
    """

    def __init__(
        self, config: DenoiserConfig, data: TrainingSet, device: str, ranks: Ranks
    ) -> None:
        super().__init__(config, data, device, ranks)
        n = sum(p.numel() for p in self.parameters.values())
        self.heading = (
            f"training {config.generator} with {n} weights on {len(data)} molecules, "
            f"on {self.device}"
        )
        bags = sorted({bag.formula for bag in self.valid.molecules.bags()})
        self._task = BagsTask(bags=tuple(bags), held_out=())
        self._seconds = 0.0
        self._began = perf_counter()

    def run(self, on_update: OnUpdate) -> None:
        """Train to the end; see :meth:`DenoiserTraining.run`."""
        self._began = perf_counter()
        super().run(on_update)

    @property
    def elapsed(self) -> float:
        """Wall time of the training so far, s."""
        return self._seconds + perf_counter() - self._began

    def snapshot(self) -> Checkpoint:
        """Return the snapshot of the training, with its wall time."""
        made = super().snapshot()
        made.state["seconds"] = self.elapsed
        return made

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a snapshot."""
        super().restore(checkpoint)
        self._seconds = checkpoint.state["seconds"]

    def evaluate(self) -> Mapping[str, Figure]:
        """Return shares of valid and connected molecules, of bags of the valid split and of any."""
        n = self.config.evaluation.n_samples
        with TemporaryDirectory() as folder:
            self.write_weights(Path(folder))
            generator = self._load(Path(folder))
            found = validity(generator.generate(self._task, n, seed=0).molecules)
            of_any = validity(generator.generate_any(n, seed=0).molecules)
        return {
            "valid_fraction": float(found.valid.mean()),
            "connected_fraction": float((found.n_fragments == 1).mean()),
            "valid_fraction_any": float(of_any.valid.mean()),
        }

    def summarise(self, folder: RunFolder) -> Closing:
        """Evaluate molecules of the bags of the valid split, and of any; write the card.

        Args:
            folder: of the run; the molecules, their picture and the card are written there.
        """
        seconds = self.elapsed
        generator = self._load(folder.path)
        n, seed = self.config.evaluation.n_molecules, self.config.seed
        with waiting("making molecules"):
            made = generator.generate(self._task, n, seed)
            of_any = generator.generate_any(n, seed)
        with waiting("evaluating molecules"):
            report = evaluate_molecules(made.molecules)
        write_molecules(report, folder.path)
        draw_best(report, folder.picture_file)
        figures = {
            "generator": self.config.generator,
            "steps": self.steps,
            **report.summary(),
            **self._figures_of_any(of_any),
            "molecules_per_second": n / made.seconds,
            "evaluations": generator.sampling.evaluations,
            "seconds": seconds,
        }
        write_card(folder, self, figures)
        name = f"{self.config.generator}:{folder.path}"
        return Closing(figures, figures, (f"run folder: {folder.path}; generate with {name}",))

    def _figures_of_any(self, made: Generated) -> dict[str, Any]:
        """Return validity, uniqueness and novelty of molecules whose elements were free."""
        found = validity(made.molecules)
        names = [s for s, ok in zip(found.smiles, found.valid, strict=True) if ok]
        known = set(self.data.identities)
        distinct = set(names)
        return {
            "valid_fraction_any": float(found.valid.mean()),
            "unique_fraction_any": len(distinct) / len(names) if names else None,
            "novel_fraction_any": len(distinct - known) / len(distinct) if distinct else None,
        }

    def _load(self, folder: Path) -> DenoisingGenerator:
        kind: type[DenoisingGenerator] = GENERATORS.load(self.config.generator)
        return kind(str(folder), self.config.device)


@contextmanager
def build(config: DenoiserConfig, ranks: Ranks) -> Iterator[DenoiserRun]:
    """Make the training of a config; see :data:`molrl.cli.training.BUILDERS`.

    Args:
        config: of the run.
        ranks: those that train together.

    Raises:
        InputError: if the data are missing or bad.
    """
    data = load_training_set(config.data)
    yield DenoiserRun(config, data, resolve_device(config.device), ranks)
