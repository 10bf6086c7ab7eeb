"""Ship a policy of a run with the package, and write its card.

python experiments/ship_policy.py RUN NAME [last|average|best]

The weights go to molrl/agents/shipped/NAME.safetensors, with their header and the card beside them.
"""

import json
import sys
from pathlib import Path

from ase.data import chemical_symbols

from molrl.agents.files import SHIPPED, policy_file
from molrl.agents.generator import read_policy
from molrl.chemistry.training_set import HELD_OUT
from molrl.runs.folder import versions
from molrl.runs.metrics import read_metrics
from molrl.runs.weights import load_weights, save_weights


def main(run: str, name: str, which: str = "average") -> None:
    """Write the weights and the card."""
    folder, target = Path(run), SHIPPED[name]
    target.parent.mkdir(exist_ok=True)
    source = policy_file(folder, which)
    tensors, head = load_weights(source, kind=json.loads(source.read_text())["kind"])
    own = {key: head[key] for key in head if key not in ("format", "sha256", "header_sha256")}
    save_weights(target, tensors, own)
    target.with_suffix(".md").write_text(card(folder, name, which), encoding="utf-8")


def card(folder: Path, name: str, which: str) -> str:
    """Return the card of a policy, in Markdown."""
    tensors, header = read_policy(folder, which)
    last = read_metrics(folder / "metrics.csv")[-1]
    evaluation = read_metrics(folder / "evaluations.csv")[-1]
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
        f"| learned from | the molecule set of the package, {len(formulas):,} formulas |",
        f"| held out | {', '.join(sorted(HELD_OUT))} |",
        f"| placements learned from | {header.steps:,} |",
        f"| loss, nats a placement | {last['imitation_loss']:.3f}; {last['valid_loss']:.3f} on "
        "molecules of the valid split |",
        f"| valid | {100 * evaluation[prefix + 'valid_fraction']:.0f} % of 64 episodes, formulas "
        "drawn from those it learned from |",
        f"| strain | {evaluation[prefix + 'strain']:.2f} eV, median of 16 valid ones |",
        "",
        "On formulas held out: `experiments/results/qm7_20_covariant.md`.",
        "",
        "```",
        f"molrl train experiments/{name}.yaml",
        f"python experiments/ship_policy.py runs/{name} {name} {which}",
        "```",
        "",
        about,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
