"""The model card of a fitted energy model: its data, errors and speed."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from molrl.energy.interface import EnergyModel
from molrl.fitting.accuracy import Errors, errors_of
from molrl.fitting.data.dataset import LOW_FORCE, Dataset
from molrl.fitting.fit import Fit
from molrl.molecules import MoleculeBatch
from molrl.plotting.energy_errors import plot_error_curve, plot_parity
from molrl.runs.atomic import write_text
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import read_metrics
from molrl.runs.progress import progress
from molrl.runs.tables import markdown_table
from molrl.runs.versions import versions
from molrl.runs.weights import read_json, sha256
from molrl.runs.yaml_text import write_yaml

SPLITS = ("valid", "test")  # that the errors are of
BATCH = 64  # molecules, for the speed
_DATA, _PAGE, _PARITY = "card.json", "card.md", "parity.png"
_UNITS = {"valid_energy_mae_at_start": "eV/atom", "valid_force_mae_at_start": "eV/Å"}
_SECONDS = 0.5  # for which the speed is measured


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes:
        model: name and hash of the energy model.
        weights: its file and the SHA-256 of its tensors.
        errors: of each split by kind, as :meth:`molrl.fitting.accuracy.Errors.by_kind`.
        failed: of each split the structures that the model has no energy for.
        speed: structures fitted a second and energies evaluated a second, in batches of so many
            molecules of so many atoms on average.
        files: of the data: path and SHA-256.
        structures: by kind, in each split.
        config: of the fit.
        versions: of what it was fitted with, and where.
        notes: what else is known, name to value: where the energies of isolated atoms come from,
            and the validation errors that the fit started with.
    """

    model: str
    weights: dict[str, str]
    errors: dict[str, list[dict[str, object]]]
    failed: dict[str, int]
    speed: dict[str, float | int | None]
    files: list[dict[str, object]]
    structures: list[dict[str, object]]
    config: dict[str, Any]
    versions: dict[str, Any]
    notes: dict[str, Any]


def write_card(
    folder: RunFolder,
    model: EnergyModel,
    fit: Fit,
    fitted_per_second: float | None,
    notes: Mapping[str, object],
) -> Card:
    """Evaluate a fitted model, and write ``card.json``, ``card.md``, ``parity.png``, ``curve.png``.

    Args:
        folder: of the fit; its log is drawn.
        model: what was fitted.
        fit: at its end.
        fitted_per_second: structures a second of the fit; None if it is not known.
        notes: what else to write, name to plain data.

    Returns:
        What was written.
    """
    data, weights = fit.data, fit.weights
    errors = _errors(model, data)
    card = Card(
        model=f"{model.name.partition(':')[0]} {model.hash}",
        weights={"file": weights.name, "sha256": str(read_json(weights).get("sha256"))},
        errors={split: found.by_kind() for split, found in errors.items()},
        failed={split: found.failed for split, found in errors.items()},
        speed={"fitted_per_second": fitted_per_second, **_speed(model, data.molecules)},
        files=[_file(Path(path)) for path in fit.config.data],
        structures=_counts(data),
        config=fit.config.model_dump(mode="json"),
        versions=versions(),
        notes=dict(notes),
    )
    shown = errors["test"] if len(errors["test"].structures) else errors["valid"]
    split = "test" if shown is errors["test"] else "valid"
    limit = f"forces up to {LOW_FORCE:.0f} eV/Å"
    title = f"{card.model}, {split} split\ninteraction energy, {limit}".lstrip()
    plot_parity(shown.parity(), data.kinds, folder.path / _PARITY, title)
    plot_error_curve(read_metrics(folder.metrics_file), data.kinds, folder.curve_file)
    write_text(folder.path / _DATA, json.dumps(asdict(card), indent=1) + "\n")
    write_text(folder.path / _PAGE, to_markdown(card))
    return card


def remove_card(folder: Path) -> None:
    """Remove the card in a folder, and its picture of predictions, if they are there.

    Args:
        folder: of the fit.
    """
    for name in (_DATA, _PAGE, _PARITY):
        (folder / name).unlink(missing_ok=True)


def to_markdown(card: Card) -> str:
    """The card as a page that shows the two pictures beside it."""
    lines = [f"# {card.model}", ""]
    for split, rows in card.errors.items():
        lines += [f"## Errors, {split} split", "", markdown_table(rows) or "No structures.", ""]
        if card.failed[split]:
            lines += [f"No energy of {card.failed[split]} structures.", ""]
    lines += [_note(name, value) for name, value in card.notes.items()]
    lines += ["", f"![Predicted against reference, and errors by kind]({_PARITY})", ""]
    lines += ["## Learning", "", "![Validation errors against steps](curve.png)", ""]
    lines += ["## Speed", "", *_speed_lines(card), ""]
    lines += ["## Data", "", markdown_table(card.structures), "", markdown_table(card.files), ""]
    lines += ["## Fit", "", "```yaml", write_yaml(card.config).rstrip(), "```", ""]
    lines += [f"Weights: `{card.weights['file']}`, SHA-256 `{card.weights['sha256']}`.", ""]
    packages = {name: value for name, value in card.versions.items() if name != "machine"}
    lines += [", ".join(f"{name} {value}" for name, value in packages.items()) + ".", ""]
    return "\n".join(lines)


def _note(name: str, value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"- {name.replace('_', ' ')}: {text} {_UNITS.get(name, '')}".rstrip()


def _errors(model: EnergyModel, data: Dataset) -> dict[str, Errors]:
    errors = {}
    for split in SPLITS:
        chosen = data[data.split == data.splits.index(split)]
        with progress(len(chosen), f"errors, {split} split") as bar:
            errors[split] = errors_of(model, chosen, bar.update)
    return errors


def _speed(model: EnergyModel, molecules: MoleculeBatch) -> dict[str, float | int | None]:
    """The fastest of some calls with the same molecules, evenly spaced among the structures."""
    batch = molecules[torch.linspace(0, len(molecules) - 1, BATCH).long()]
    times: list[float] = []
    while len(times) < 3 or sum(times) < _SECONDS:
        start = perf_counter()
        model.evaluate(batch).energy.cpu()
        times.append(perf_counter() - start)
    return {
        "energies_per_second": BATCH / min(times),
        "batch": BATCH,
        "atoms_per_molecule": float(batch.n_atoms.double().mean()),
    }


def _file(path: Path) -> dict[str, object]:
    return {"file": str(path), "SHA-256": sha256(path.read_bytes())}


def _counts(data: Dataset) -> list[dict[str, object]]:
    """A line for each kind, and one for all."""
    kinds = [(kind, data.of_kind(kind)) for kind in data.kinds]
    kinds.append(("all", torch.ones(len(data), dtype=torch.bool)))
    return [
        {"kind": kind}
        | {name: int((data.split[chosen] == i).sum()) for i, name in enumerate(data.splits)}
        for kind, chosen in kinds
    ]


def _speed_lines(card: Card) -> list[str]:
    speed, machine = card.speed, card.versions["machine"]
    fitted = speed["fitted_per_second"]
    return [
        f"- fit: {'-' if fitted is None else round(fitted)} structures a second",
        f"- energies: {speed['energies_per_second']:.0f} a second, in batches of {speed['batch']} "
        f"molecules of {speed['atoms_per_molecule']:.1f} atoms on average",
        f"- on {machine['gpu'] or machine['cpu']}, CPU threads: {torch.get_num_threads()}",
    ]
