"""The run of ``molrl energy fit``: a fit, its log, and the card of what was fitted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.registry import resolve_device
from molrl.energy.uncertainty import remove_uncertainty
from molrl.errors import InputError
from molrl.evaluation.card import remove_card, write_card
from molrl.fitting.config import FitConfig
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.isolated import isolated_energies, parse_atomic_energies
from molrl.fitting.data.loading import assumption, load_data
from molrl.fitting.data.units import check_beside_start
from molrl.fitting.fit import Fit
from molrl.fitting.inputs import start_file
from molrl.fitting.mixture_fit import with_uncertainty
from molrl.runs.checkpoints import Checkpoint
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import STEPS, Figure, read_metrics
from molrl.runs.progress import log_message, phases
from molrl.runs.ranks import Ranks
from molrl.runs.trainer import Closing, OnUpdate


class FitRun(Fit):
    """A fit in a run folder.

    Args:
        config: of the run.
        data: the structures.
        atomic_energies: as for :class:`Fit`.
        device: where to compute.
        ranks: those that fit together.

    Attributes:
        notes: what else the card and the summary say, name to plain data.
    """

    verb = "fit"

    def __init__(
        self,
        config: FitConfig,
        data: Dataset,
        atomic_energies: dict[int, float],
        device: str,
        ranks: Ranks,
    ) -> None:
        super().__init__(config, data, atomic_energies, device, ranks)
        self.row_every = config.checkpoint_every
        self.notes: dict[str, object] = {}
        self._per_second: float | None = None
        self._last_error: float | None = None

    def run(self, on_update: OnUpdate) -> None:
        """Fit to the end, and measure the speed, errors on the validation split and all."""
        first, began = self.steps, perf_counter()
        super().run(on_update)
        structures = (self.steps - first) * self.config.batch_size * self.ranks.size
        self._per_second = structures / (perf_counter() - began) or None

    def row(self, step: int, figures: Mapping[str, float]) -> Mapping[str, Figure] | None:
        """Return the row of a step with errors on the validation split; None for another."""
        return {STEPS: step, **figures} if "valid_energy_mae" in figures else None

    def shown(self, figures: Mapping[str, float]) -> Mapping[str, Figure]:
        """Return the loss, and the error of the energy when it was last computed, eV/atom."""
        self._last_error = figures.get("valid_energy_mae", self._last_error)
        return {"loss": figures["loss"], "valid": self._last_error}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a snapshot.

        Raises:
            InputError: if the data, the start or the energies of isolated atoms have changed, or
                the log has errors of other kinds of structures than the fit would log.
        """
        super().restore(checkpoint)
        file = RunFolder(self.config.run_dir).metrics_file
        rows, prefix = read_metrics(file), "valid_energy_mae/"
        logged = {name for name in (rows[0] if rows else ()) if name.startswith(prefix)}
        kinds = {self.data.kinds[code] for code in self.data.kind[self.valid_set].tolist()}
        if rows and logged != {prefix + kind for kind in kinds}:
            raise InputError(
                f"{file} has other kinds of structures than the data: the data have changed, or "
                "the run folder is of an older version; fit again"
            )

    def write_weights(self, folder: Path) -> None:
        """Write the weights in place of former ones, whose uncertainty and card are removed.

        Args:
            folder: of the run.
        """
        remove_uncertainty(self._weights(folder))
        remove_card(folder)
        super().write_weights(folder)

    def summarise(self, folder: RunFolder) -> Closing:
        """Write the card of what was fitted, and return its errors.

        Args:
            folder: of the run.
        """
        write_card(folder, self._load_fitted(), self, self._per_second, self.notes)
        rows = read_metrics(folder.metrics_file)
        if rows and rows[-1][STEPS] == self.steps:
            last = rows[-1]
        else:  # the row was lost, which has been said
            last = {STEPS: self.steps, **self.errors(self.valid_set)}
        closing = {**last, **{k: v for k, v in self.notes.items() if isinstance(v, float)}}
        name = f"{self.potential.config.architecture}:{self.weights}"
        lines = (
            f"weights: {self.weights}; use them as energy {name}",
            f"model card: {folder.path / 'card.md'}",
        )
        return Closing({**closing, "weights": str(self.weights)}, closing, lines)

    def _load_fitted(self) -> NetworkEnergy:
        """Load what was fitted, with its uncertainty unless the data are too few for that."""
        device = str(self.device)
        try:
            with phases() as report:
                return with_uncertainty(self.weights, self.data, self.config.seed, device, report)
        except InputError as error:
            log_message(f"the weights offer no uncertainty: {error}")
            return NetworkEnergy(self.weights, device).ignoring_charge()


@contextmanager
def build(config: FitConfig, ranks: Ranks) -> Iterator[FitRun]:
    """Make the fit of a config, with notes on it; see :data:`molrl.cli.training.BUILDERS`.

    Args:
        config: of the run.
        ranks: those that fit together.

    Raises:
        InputError: if the data or the weights to start from are missing or bad.
    """
    device = resolve_device(config.device)
    structures = load_data(config.data, config.reference, config.energy_key, config.forces_key)
    given = parse_atomic_energies(config.atomic_energies or {})
    # The data may hold ions, whose charges a network learns from their compositions only.
    start = None
    if config.start is not None:
        start = NetworkEnergy(start_file(config.start), device).ignoring_charge()
        if structures.molecules.is_periodic:
            start.takes_cells = True  # as what is fitted from it
        check_beside_start(structures, start)
    isolated = isolated_energies(structures, given, start)
    source = "; ".join(filter(None, [isolated.source, assumption(config.data, config.reference)]))
    if ranks.is_main:
        log_message(f"isolated atoms: {source}")
    run = FitRun(config, structures, dict(isolated.energies), device, ranks)
    run.notes["isolated_atoms"] = source
    if start is not None and ranks.is_main:
        errors = run.errors(run.valid_set)
        for name in ("valid_energy_mae", "valid_force_mae"):
            run.notes[f"{name}_at_start"] = errors[name]
    yield run
