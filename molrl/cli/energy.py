"""``molrl energy``: the data, the fit and the errors of energy models."""

import json
from argparse import Namespace
from collections.abc import Mapping
from contextlib import nullcontext
from time import perf_counter

import torch

from molrl.cli.output import new_file, output_files
from molrl.energy.interface import EnergyOutput
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.registry import load_energy, resolve_device
from molrl.errors import InputError
from molrl.evaluation.acceptance import evaluable, rejected_line
from molrl.evaluation.card import write_card
from molrl.evaluation.molecule_files import formulas, write_csv
from molrl.evaluation.table import format_table
from molrl.files import read_unchecked
from molrl.fitting.config import FitConfig
from molrl.fitting.data.config import DataConfig, MoleculeSetConfig
from molrl.fitting.data.isolated import isolated_energies, parse_atomic_energies
from molrl.fitting.data.loading import assumption, load_data
from molrl.fitting.data.make import make_dataset
from molrl.fitting.data.molecule_set import make_molecule_set
from molrl.fitting.data.units import check_beside_start
from molrl.fitting.fit import Fit
from molrl.fitting.fit import Report as StepReport
from molrl.fitting.mixture_fit import with_uncertainty
from molrl.molecules import MoleculeBatch
from molrl.runs.atomic import write_text
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import MetricsLog, read_metrics
from molrl.runs.progress import log_message, phases, progress
from molrl.runs.ranks import Ranks, process_group
from molrl.runs.signals import Stopped, stopping_when_saved


def data(arguments: Namespace) -> int:
    """Make labelled structures and write them to the config's ``output``.

    Raises:
        InputError: if the config is bad, or the output would overwrite something; nothing is made
            then.
    """
    config: DataConfig = arguments.config
    output = new_file(config.output, "output", [".npz"])
    with phases() as report:
        made, dropped = make_dataset(config, report)
    made.save(output)
    figures = {kind: int(made.of_kind(kind).sum()) for kind in made.kinds}
    lost = {
        "not made": dropped.not_made.total(),
        "dropped, no energy": dropped.failed.total(),
        "dropped, too large forces": dropped.large_force.total(),
    }
    print(f"data: {output}")
    print(format_table({"structures": len(made), **figures, **lost}))
    return 0


def molecules(arguments: Namespace) -> int:
    """Enumerate and relax molecules and write them to the config's ``output``.

    Raises:
        InputError: as for :func:`data`.
    """
    config: MoleculeSetConfig = arguments.config
    output = new_file(config.output, "output", [".npz"])
    with phases() as report:
        made, lost = make_molecule_set(config, report)
    made.save(output)
    splits = {name: len(made.of_split(name)) for name in made.splits}
    left_out = {f"left out, {reason}": count for reason, count in lost.items()}
    print(f"molecules: {output}")
    print(format_table({"molecules": len(made), **splits, **left_out}))
    return 0


def fit(arguments: Namespace) -> int:
    """Fit a network to labelled structures, in a run folder.

    Raises:
        InputError: if the config or the data are bad, or the run folder is not free; nothing is
            written then.
    """
    config: FitConfig = arguments.config
    with process_group() as ranks:
        folder = RunFolder(config.run_dir)
        model, notes = _fit(config, ranks)
        if ranks.is_main:
            folder = RunFolder.create(config.run_dir, model.config, "energy fit")
        _run(model, folder, notes)
    return 0


def resume(folder: RunFolder) -> None:
    """Resume a fit from its latest valid checkpoint.

    Raises:
        InputError: if its data are missing, or it has checkpoints and none is valid.
    """
    config = folder.load_config(FitConfig).model_copy(update={"run_dir": str(folder.path)})
    with process_group() as ranks, folder.lock() if ranks.is_main else nullcontext():
        model, notes = _fit(config, ranks)
        _check_kinds(folder, model)
        model.resume(log_message)
        _run(model, folder, notes)


def _check_kinds(folder: RunFolder, model: Fit) -> None:
    """Check that the log has errors of the kinds that the fit would log."""
    rows, prefix = read_metrics(folder.metrics_file), "valid_energy_mae/"
    logged = {name for name in (rows[0] if rows else ()) if name.startswith(prefix)}
    kinds = {model.data.kinds[code] for code in model.data.kind[model.valid_set].tolist()}
    if rows and logged != {prefix + kind for kind in kinds}:
        raise InputError(
            f"{folder.metrics_file} has other kinds of structures than the data: the data have "
            "changed, or the run folder is of an older version; fit again"
        )


def _fit(config: FitConfig, ranks: Ranks) -> tuple[Fit, dict[str, object]]:
    """The fit at its first step, and notes on it for the card and the summary."""
    device = resolve_device(config.device)
    structures = load_data(config.data, config.reference, config.energy_key, config.forces_key)
    given = parse_atomic_energies(config.atomic_energies or {})
    # The data may hold ions, whose charges a network learns from their compositions only.
    start = None if config.start is None else NetworkEnergy(config.start, device).ignoring_charge()
    if start is not None:
        if structures.molecules.is_periodic:
            start.takes_cells = True  # as what is fitted from it
        check_beside_start(structures, start)
    isolated = isolated_energies(structures, given, start)
    source = "; ".join(filter(None, [isolated.source, assumption(config.data, config.reference)]))
    if ranks.is_main:
        log_message(f"isolated atoms: {source}")
    model = Fit(config, structures, dict(isolated.energies), device, ranks)
    notes: dict[str, object] = {"isolated_atoms": source}
    if start is not None and ranks.is_main:
        errors = model.errors(model.valid_set)
        notes |= {
            f"{name}_at_start": errors[name] for name in ("valid_energy_mae", "valid_force_mae")
        }
    return model, notes


def _run(model: Fit, folder: RunFolder, notes: dict[str, object]) -> None:
    """Fit to the end, on every rank; the first logs, evaluates, and prints the closing table."""
    if not model.ranks.is_main:
        _run_to_end(model, lambda step, figures: None)
        return
    with folder.lock_and_log():
        per_second = _run_logged(model, folder)
        write_card(folder, _load_fitted(model), model, per_second, notes)
        last = read_metrics(folder.metrics_file)[-1]  # it may be another process's
        closing = {**last, **{k: v for k, v in notes.items() if isinstance(v, float)}}
        folder.write_summary({**closing, "weights": str(model.weights)})
    architecture = model.potential.config.architecture
    print(f"weights: {model.weights}; use them as energy {architecture}:{model.weights}")
    print(f"model card: {folder.path / 'card.md'}")
    print(format_table(closing))


def _load_fitted(model: Fit) -> NetworkEnergy:
    """Load what was fitted, with its uncertainty unless the data are too few for that."""
    device = str(model.device)
    try:
        with phases() as report:
            return with_uncertainty(model.weights, model.data, model.config.seed, device, report)
    except InputError as error:
        log_message(f"the weights offer no uncertainty: {error}")
        return NetworkEnergy(model.weights, device).ignoring_charge()


def _run_logged(model: Fit, folder: RunFolder) -> float | None:
    """Fit to the end and log; structures a second, errors and all, or None if no step was left."""
    last: dict[str, float] = {}
    first, began = model.step, perf_counter()
    with (
        MetricsLog(folder.metrics_file, folder.tensorboard, steps=model.step) as log,
        progress(model.config.steps, "fit", model.step) as bar,
    ):

        def show(step: int, figures: dict[str, float]) -> None:
            if "valid_energy_mae" in figures:
                log.append({"steps": step, **figures})
                last.update(figures)
            bar.update(step, loss=figures["loss"], valid=last.get("valid_energy_mae"))

        _run_to_end(model, show)
    structures = (model.step - first) * model.config.batch_size * model.ranks.size
    return structures / (perf_counter() - began) or None


def _run_to_end(model: Fit, show: StepReport) -> None:
    with stopping_when_saved() as stop:

        def report(step: int, figures: dict[str, float]) -> None:
            show(step, figures)
            number = model.ranks.all_reduce_max(stop.number)
            if number:
                model.save()
                model.ranks.gather(None)  # a rank that ends early may have others killed
                raise Stopped(number, f"saved at step {step}")

        model.run(report)


def convert(arguments: Namespace) -> int:
    """Turn a network that was pickled by mace-torch into weights that run no code.

    Raises:
        InputError: if it is not trusted or cannot be converted; nothing is written then.
    """
    from molrl.energy.mace_torch.files import convert as write  # much of mace-torch

    write(arguments.source, arguments.output, arguments.trust)
    print(f"weights: {arguments.output}; use them as energy mace:{arguments.output}")
    return 0


def evaluate(arguments: Namespace) -> int:
    """Print the errors of one energy model against another on the molecules of a file.

    Molecules that one of the models cannot take are listed on standard error, and have a line in
    the CSV; the others are evaluated.

    Raises:
        InputError: if the file is corrupted, the models can take none of its molecules, or an
            output exists or cannot be written; nothing is written then.
    """
    to_json, to_csv = output_files(arguments, {"--json": (), "--csv": ()})
    everything = read_unchecked(arguments.file)
    model, reference = load_energy(arguments.model), load_energy(arguments.against)
    molecules, indices, rejected = evaluable(everything, model, reference)
    if rejected:
        log_message(rejected_line(rejected))
    found = model.evaluate(molecules, forces=True)
    wanted = reference.evaluate(molecules, forces=True)
    figures: dict[str, object] = {
        "model": f"{model.name} {model.hash}",
        "against": f"{reference.name} {reference.hash}",
        **_errors(molecules, found, wanted),
        "not evaluated": len(rejected),
    }
    print(format_table(figures))
    if to_json:
        write_text(to_json, json.dumps(figures, indent=2) + "\n")
    if to_csv:
        energies = dict(zip(indices, _energies(molecules, found, wanted), strict=True))
        failed = {indices[i]: why for i, why in (wanted.failures | found.failures).items()}
        write_csv(to_csv, _rows(everything, energies, rejected | failed))
    return 0


def _errors(
    molecules: MoleculeBatch, found: EnergyOutput, wanted: EnergyOutput
) -> dict[str, object]:
    """Errors of energies and forces, over the molecules of which both have an energy."""
    error = (found.energy.cpu() - wanted.energy.cpu()).double()
    sound = torch.isfinite(error)
    per_atom, error = (error / molecules.n_atoms)[sound], error[sound]
    force_error = _force_errors(found, wanted)[sound[molecules.molecule]]
    return {
        "molecules": len(molecules),
        "without an energy": int((~sound).sum()),
        "mean absolute error, eV": _mean(error.abs()),
        "mean absolute error, eV per atom": _mean(per_atom.abs()),
        "mean error, eV": _mean(error),
        "largest error, eV": float(error.abs().max()) if len(error) else None,
        "mean absolute force error, eV/Å": _mean(force_error),
    }


def _force_errors(found: EnergyOutput, wanted: EnergyOutput) -> torch.Tensor:
    """``(n_atoms_total,)`` float64, eV/Å: mean absolute error of the force components."""
    assert found.forces is not None
    assert wanted.forces is not None
    return (found.forces.cpu() - wanted.forces.cpu()).abs().mean(-1).double()


def _energies(
    molecules: MoleculeBatch, found: EnergyOutput, wanted: EnergyOutput
) -> list[dict[str, float]]:
    """Energies and errors of each molecule: eV, and eV/Å for the forces."""
    energy, reference = found.energy.cpu().double(), wanted.energy.cpu().double()
    force_error = molecules.sum_atoms(_force_errors(found, wanted)) / molecules.n_atoms
    columns = {
        "energy": energy,
        "reference_energy": reference,
        "error": energy - reference,
        "mean_force_error": force_error,
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _rows(
    molecules: MoleculeBatch, energies: Mapping[int, dict[str, float]], reasons: Mapping[int, str]
) -> list[dict[str, object]]:
    """Return a line for each molecule of the file; ``reason`` says why an energy is missing."""
    none = dict.fromkeys(next(iter(energies.values())))
    return [
        {"index": i, "formula": formula, **energies.get(i, none), "reason": reasons.get(i, "-")}
        for i, formula in enumerate(formulas(molecules))
    ]


def _mean(values: torch.Tensor) -> float | None:
    return float(values.mean()) if len(values) else None
