"""Quality of denoisers against the number of evaluations, and the speed of sampling.

    python experiments/benchmarks/denoisers.py diffusion:runs/diffusion -n 500 -o OUT

For each number of evaluations molecules of the bags of the valid split are made, and molecules of
any composition; their bonds are perceived from the coordinates as they are, without relaxation. A
row of molecules of the valid split themselves stands beside them. Writes OUT.json and OUT.md.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import molrl
from molrl.chemistry.bonds import validity
from molrl.chemistry.training_set import load_training_set
from molrl.generators.diffusion.generator import DenoisingGenerator
from molrl.runs.folder import versions
from molrl.runs.tables import markdown_table
from molrl.tasks import parse_task

EVALUATIONS = (6, 12, 25, 59, 125, 250)
BATCHES = (1, 64, 512)


def figures(molecules: molrl.MoleculeBatch, known: set[str]) -> dict[str, float | None]:
    """Return shares in percent: valid, connected, distinct of valid, and new of distinct."""
    found = validity(molecules)
    names = [s for s, ok in zip(found.smiles, found.valid, strict=True) if ok]
    distinct = set(names)
    return {
        "valid %": 100 * float(np.mean(found.valid)),
        "connected %": 100 * float(np.mean(found.n_fragments == 1)),
        "unique %": 100 * len(distinct) / len(names) if names else None,
        "novel %": 100 * len(distinct - known) / len(distinct) if distinct else None,
    }


def quality(name: str, n: int, seed: int, evaluations: tuple[int, ...]) -> list[dict[str, object]]:
    """Return a row for the data, and two for each number of evaluations."""
    data = load_training_set()
    valid, known = data.of_split("valid"), set(data.of_split("train").identities)
    bags = sorted({bag.formula for bag in valid.molecules.bags()})
    task = parse_task({"kind": "bags", "bags": bags, "held_out": []})
    rows: list[dict[str, object]] = [
        {
            "molecules": "valid split",
            "evaluations": None,
            **figures(valid.molecules[:n], known),
            "molecules/s": None,
        }
    ]
    for count in evaluations:
        generator = molrl.load_generator(name, sampling={"evaluations": count})
        assert isinstance(generator, DenoisingGenerator)
        made = {
            "bags of the valid split": generator.generate(task, n, seed),
            "any": generator.generate_any(n, seed),
        }
        rows += [
            {
                "molecules": what,
                "evaluations": count,
                **figures(each.molecules, known),
                "molecules/s": n / each.seconds,
            }
            for what, each in made.items()
        ]
        print(rows[-2], rows[-1], sep="\n", flush=True)
    return rows


def speeds(name: str, batches: tuple[int, ...]) -> list[dict[str, object]]:
    """Return molecules of C7H10O2 a second, by the number that are sampled at a time."""
    rows: list[dict[str, object]] = []
    for batch in batches:
        generator = molrl.load_generator(name, batch_size=batch)
        made = generator.generate("C7H10O2", batch, 0)
        rows.append(
            {
                "batch": batch,
                "evaluations": made.network_calls // made.attempts,
                "molecules/s": batch / made.seconds,
            }
        )
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="generator, such as diffusion:runs/diffusion")
    parser.add_argument("-n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluations", type=int, nargs="+", default=EVALUATIONS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("-o", "--output", default="experiments/results/denoisers")
    given = parser.parse_args()
    out = {
        "generator": given.name,
        "n": given.n,
        "threads": torch.get_num_threads(),
        "quality": quality(given.name, given.n, given.seed, tuple(given.evaluations)),
        "speed": speeds(given.name, tuple(given.batches)),
        "versions": versions(),
    }
    text = [f"# {given.name}", "", f"{given.n} molecules each, without relaxation.", ""]
    text += [markdown_table(out["quality"]), "", markdown_table(out["speed"]), ""]
    Path(f"{given.output}.json").write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    Path(f"{given.output}.md").write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))


if __name__ == "__main__":
    main()
