"""Ship the policy of a run with the package, and write its card.

python experiments/ship_policy.py NAME last|average|best RUN [RUN ...]

The runs are the stages of the training, each of which went on from the one before; the policy of
the last one ships. The weights go to molrl/agents/shipped/NAME.safetensors, with their header and
the card beside them.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from ase.data import chemical_symbols

from molrl.agents.files import SHIPPED, policy_file
from molrl.agents.generator import read_policy
from molrl.chemistry.training_set import HELD_OUT
from molrl.runs.metrics import read_metrics
from molrl.runs.versions import versions
from molrl.runs.weights import load_weights, save_weights

TEMPERATURE = 0.85  # of the sampling, where none is given: more are valid than at 1, few are lost


def main(name: str, which: str, *runs: str) -> None:
    """Write the weights and the card."""
    folders, target = [Path(run) for run in runs], SHIPPED[name]
    target.parent.mkdir(exist_ok=True)
    source = policy_file(folders[-1], which)
    tensors, head = load_weights(source, kind=json.loads(source.read_text())["kind"])
    own = {key: head[key] for key in head if key not in ("format", "sha256", "header_sha256")}
    own["temperature"] = TEMPERATURE
    own["training_energy_calls"] = sum(energies(folder) for folder in folders)
    save_weights(target, tensors, own)
    target.with_suffix(".md").write_text(card(folders, name, which), encoding="utf-8")


def card(folders: Sequence[Path], name: str, which: str) -> str:
    """Return the card of a policy, in Markdown."""
    tensors, header = read_policy(folders[-1], which)
    evaluation = read_metrics(folders[-1] / "evaluations.csv")[-1]
    prefix = "average_" if which == "average" else ""
    formulas = [instance.bag.formula for instance in header.task.instances() or ()]
    symbols = [chemical_symbols[z] for z in header.elements]
    about = ", ".join(f"{key} {value}" for key, value in versions().items())
    lines = [
        f"# The policy {name} that ships",
        "",
        f"Builds molecules of any closed-shell formula of {', '.join(symbols)}, "
        "atom by atom, without an energy; made for up to nine heavy atoms.",
        "",
        "| | |",
        "|---|---|",
        f"| weights | {sum(x.numel() for x in tensors.values()):,} numbers, policy `{which}` |",
        f"| formulas | {len(formulas):,}, of the molecule set of the package |",
        f"| held out | {', '.join(sorted(HELD_OUT))} |",
        *(f"| stage {i} | {stage(folder)} |" for i, folder in enumerate(folders, 1)),
        f"| valid | {100 * evaluation[prefix + 'valid_fraction']:.0f} % of 64 episodes at "
        f"T = {header.temperature:g}, formulas drawn from those it learned from |",
        f"| strain | {evaluation[prefix + 'strain']:.2f} eV, median of 16 valid ones |",
        f"| sampled at | T = {TEMPERATURE:g}, where none is given |",
        "",
        "On formulas held out: `experiments/results/qm7_20_covariant.md`.",
        "",
        "```",
        *(
            f"molrl train experiments/{folder.name}.yaml"
            + (f" policy.start=run:runs/{before.name}/policy-{which}.json" if before else "")
            for before, folder in zip([None, *folders], folders, strict=False)
        ),
        f"python experiments/ship_policy.py {name} {which} "
        + " ".join(f"runs/{folder.name}" for folder in folders),
        "```",
        "",
        about,
    ]
    return "\n".join(lines) + "\n"


def stage(folder: Path) -> str:
    """Return what was learned in a run, in one line."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    last = read_metrics(folder / "metrics.csv")[-1]
    steps, algorithm = int(last["steps"]), config["algorithm"]["name"]
    if algorithm == "cloning":
        return (
            f"cloning: {steps:,} placements of the molecules; loss {last['imitation_loss']:.3f} "
            f"nats a placement, {last['valid_loss']:.3f} on those of the valid split"
        )
    reward = ", ".join(f"{key} {value:g}" for key, value in config["env"]["reward"].items())
    return f"{algorithm}: {steps:,} steps, reward {reward}; {energies(folder):,} energies"


def energies(folder: Path) -> int:
    """Return the number of energies that a training has evaluated."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    if config["algorithm"]["name"] == "cloning":
        return 0
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return int(summary["training_energy_calls"])


if __name__ == "__main__":
    main(*sys.argv[1:])
