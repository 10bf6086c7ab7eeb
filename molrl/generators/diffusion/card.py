"""The model card of a denoiser: what it makes, what it learnt from, and how."""

import json
from collections.abc import Mapping

from ase.data import chemical_symbols

from molrl.chemistry.molecule_set import SPLITS
from molrl.chemistry.training_set import HELD_OUT
from molrl.generators.diffusion.training import DenoiserTraining
from molrl.runs.atomic import write_text
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import Figure, read_metrics
from molrl.runs.tables import markdown_table
from molrl.runs.versions import versions
from molrl.runs.weights import read_json
from molrl.runs.yaml_text import write_yaml


def write_card(
    folder: RunFolder, training: DenoiserTraining, figures: Mapping[str, Figure]
) -> None:
    """Write ``card.json`` and ``card.md``.

    Args:
        folder: of the run.
        training: at its end.
        figures: of the molecules that it makes.
    """
    name = training.config.generator
    weights = folder.path / f"{name}.json"
    tensors, digest = weights.with_suffix(".safetensors").name, read_json(weights)["sha256"]
    symbols = [chemical_symbols[z] for z in training.data.elements]
    config = training.config.model_dump(mode="json", exclude={"run_dir"})
    card = {
        "generator": name,
        "weights": {"file": tensors, "sha256": digest},
        "figures": dict(figures),
        "molecules": _counts(training),
        "elements": symbols,
        "held_out": sorted(HELD_OUT),
        "config": config,
        "versions": versions(),
    }
    write_text(folder.path / "card.json", json.dumps(card, indent=1) + "\n")
    rows = [read_metrics(file)[-10:] for file in (folder.metrics_file, folder.evaluations_file)]
    lines = [f"# {name}", "", "## Molecules, as they are made", ""]
    lines += [markdown_table([{"figure": k, "value": v} for k, v in figures.items()]), ""]
    lines += ["## Learning", "", *(markdown_table(some) + "\n" for some in rows if some)]
    lines += ["## Data", "", markdown_table([_counts(training)]), ""]
    lines += [f"Elements: {', '.join(symbols)}. Held out: {', '.join(sorted(HELD_OUT))}."]
    lines += ["", "## Training", "", "```yaml", write_yaml(config).rstrip(), "```", ""]
    lines += [f"Weights: `{tensors}`, SHA-256 `{digest}`.", ""]
    write_text(folder.path / "card.md", "\n".join(lines))


def _counts(training: DenoiserTraining) -> dict[str, int]:
    """Return the number of molecules of each split."""
    return {name: len(training.data.of_split(name)) for name in SPLITS}
