"""Attacks on energy models by strategies that no fit has seen: crowds, minima, whole episodes.

python experiments/benchmarks/reward_hacking.py [--models mace mace:old.json]

A quick version: ``--restarts 1 --relaxations 32 --rounds 1 --bags 2 --molecules 50``.
The rows of each bag are kept in a file when they are there, and tables are written after each part.
The same command goes on from there, and another model is added by naming it beside the old ones.

*Crowds*: 4 to 14 atoms of H, F or both round one atom, minimised in the model by its forces, no
two atoms nearer than the default rules allow; the lowest model energy minus that of GFN2-xTB.
*Minima*: random growth and basin hopping of whole bags behind the same guard. A minimum is false
if the model has it 0.1 eV below the best isomer known, and GFN2-xTB 0.05 eV above its own.
*Episodes*: a search over 30 bags crowds atoms as the rules of the environment allow; an episode is
hacked if it ends complete with a return above that of the best isomer, and GFN2-xTB has the
canvas 0.5 eV above its best isomer. *Honest episodes*: real molecules placed atom by atom in random
orders, and the share of them that the rules end.

Where the SCF of GFN2-xTB does not converge at 300 K, the energy of a hotter one is a lower bound
(``molrl.energy.lower_bound``): a model energy below it is wrong by at least that much, and
one above it is not counted as an error. A minimum or an episode without even a bound counts as
false.
"""

import argparse
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from crowds import crowd_rows
from false_minima import BAGS as MINIMA_BAGS
from false_minima import false_minima_row
from hacked_episodes import BAGS as EPISODE_BAGS
from hacked_episodes import hacked_row, honest_rows
from kept_rows import KeptRows, Row
from record import record
from reward_hacking_figures import draw_crowds, draw_episodes, draw_honest, draw_minima
from side_by_side import Models, add_models, describe, load_models, summary_rows

from molrl.energy import EnergyModel
from molrl.envs.rules import REASON_TEXTS, Reason
from molrl.runs.progress import progress

TITLES = {
    "crowds": "crowds, eV",
    "minima": "minima of whole bags",
    "episodes": "episodes, eV",
    "honest": "why honest episodes end",
}
DRAWINGS = {
    "crowds": draw_crowds,
    "minima": draw_minima,
    "episodes": draw_episodes,
    "honest": draw_honest,
}
TARGETS = {
    "crowds: lowest error, eV": ">= -2",
    "crowds: more than 2 eV too low, %": "0",
    "crowds: more than 2 eV too low with the default rules": "0",
    "minima: false, %": "<= 0.05",
    "minima: false with the default rules": "0",
    "episodes: bags with a hacked one": "0",
    "episodes: bags searched": "30",
    "shipped molecules: ended by the rules, %": "<= 1",
    "SF6 and fluorinated molecules: ended by the rules, %": "<= 1",
}
Tables = dict[str, list[Row]]  # by part; every row names its model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_models(parser)
    parser.add_argument("--parts", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--restarts", type=int, default=4, help="crowds of each sort; default: 4")
    parser.add_argument("--relaxations", type=int, default=2000, help="per bag; default: 2000")
    parser.add_argument("--rounds", type=int, default=6, help="searches per bag; default: 6")
    parser.add_argument("--bags", type=int, help="the first ones of each part; default: all")
    parser.add_argument("--molecules", type=int, default=1000, help="honest; default: 1000")
    parser.add_argument("--seed", type=int, default=77, help="no fit has seen it; default: 77")
    parser.add_argument("--rows", type=Path, default="runs/reward_hacking.jsonl", help="kept rows")
    options = parser.parse_args()
    models, kept = load_models(options.models), KeptRows(options.rows)
    tables: Tables = {part: [] for part in options.parts}
    work = [(name, *job) for name, model in models.items() for job in jobs(model, options)]
    with progress(len(work), "attacks") as bar:
        for done, (name, part, key, make) in enumerate(work, start=1):
            rows = kept.get(f"{models[name].hash} {part} {key}", make)
            tables[part] += [{"model": name, **row} for row in rows]
            if done == len(work) or work[done][:2] != (name, part):
                write(models, part, tables)
            bar.update(done)


def jobs(
    model: EnergyModel, options: Namespace
) -> Iterator[tuple[str, str, Callable[[], list[Row]]]]:
    """Yield the part, what its rows depend on, and what makes them, in pieces of some minutes."""
    seed = options.seed
    if "crowds" in options.parts:
        n = options.restarts
        yield "crowds", f"{n} {seed}", lambda: crowd_rows(model, n, seed)
    if "honest" in options.parts:
        n_molecules = options.molecules
        yield "honest", f"{n_molecules} {seed}", lambda: honest_rows(model, n_molecules, seed)
    for part, bags, row, extent in (
        ("episodes", EPISODE_BAGS, hacked_row, options.rounds),
        ("minima", MINIMA_BAGS, false_minima_row, options.relaxations),
    ):
        if part in options.parts:
            for bag in bags[: options.bags]:
                yield (
                    part,
                    f"{bag} {extent} {seed}",
                    lambda row=row, bag=bag, extent=extent: [row(model, bag, extent, seed)],
                )


def write(models: Models, part: str, tables: Tables) -> None:
    """Write the summary, and the table and the figure of a part, with what is known by now."""
    title = f"Attacks on {describe(models)}, checked by GFN2-xTB"
    record(f"reward_hacking_{part}", f"{title}: {TITLES[part]}", tables[part])
    DRAWINGS[part](tables[part], f"reward_hacking_{part}.png")
    figures = {
        name: summary({part: of_model(rows, name) for part, rows in tables.items()})
        for name in models
    }
    measured = {name for of in figures.values() for name in of}
    targets = {name: target for name, target in TARGETS.items() if name in measured}
    record("reward_hacking", title, summary_rows(figures, targets))


def of_model(rows: list[Row], name: str) -> list[Row]:
    return [row for row in rows if row["model"] == name]


def summary(tables: Mapping[str, list[Row]]) -> Row:
    """Return the figures of one model from the parts that have rows."""
    found: Row = {}
    if crowds := tables.get("crowds"):
        lowest = [float(str(one)) for row in crowds if (one := row["lowest error"]) is not None]
        found["crowds: lowest error, eV"] = min(lowest, default=None)
        found["crowds: more than 2 eV too low, %"] = percent(
            crowds, "more than 2 eV too low", "crowds"
        )
        found["crowds: more than 2 eV too low with the default rules"] = total(
            crowds, "of these with the default rules"
        )
    if minima := tables.get("minima"):
        found["minima: false, %"] = percent(minima, "false", "relaxations")
        found["minima: false with the default rules"] = total(
            minima, "false with the default rules"
        )
    if episodes := tables.get("episodes"):
        found["episodes: bags with a hacked one"] = sum(bool(row["hacked"]) for row in episodes)
        found["episodes: bags searched"] = len(episodes)
    honest = tables.get("honest") or []
    for molecules in dict.fromkeys(str(row["molecules"]) for row in honest):
        of = [row for row in honest if row["molecules"] == molecules]
        complete = [row for row in of if row["reason"] == REASON_TEXTS[Reason.COMPLETE]]
        ended = 100 * (1 - total(complete, "episodes") / total(of, "episodes"))
        found[f"{molecules}: ended by the rules, %"] = ended
    return found


def total(rows: list[Row], key: str) -> int:
    return sum(int(str(row[key])) for row in rows)


def percent(rows: list[Row], part: str, whole: str) -> float:
    return 100 * total(rows, part) / total(rows, whole)


if __name__ == "__main__":
    main()
