"""Attacks on energy models by strategies that no fit has seen: crowds, minima, whole episodes.

python experiments/benchmarks/reward_hacking.py [--models mace mace:old.json] [--relaxations 200]

*Crowds*: 4 to 14 atoms of H, F or both round one atom, minimised in the model by its forces, no
two atoms nearer than the default rules allow; the lowest model energy minus that of GFN2-xTB.
*Minima*: random growth and basin hopping of whole bags behind the same guard. A minimum is false
if the model has it 0.1 eV below the best isomer known, and GFN2-xTB 0.05 eV above its own.
*Episodes*: a search over 30 bags crowds atoms as the rules of the environment allow; an episode is
hacked if it ends complete with a return above that of the best isomer, and GFN2-xTB has the
canvas 0.5 eV above its best isomer. *Honest episodes*: real molecules placed atom by atom in random
orders, and the share of them that the rules end.

The energy of GFN2-xTB is that of ``gfn2_or_bound``, also where its SCF does not converge.
"""

import argparse
from collections import Counter

from crowds import crowd_rows
from false_minima import BAGS as MINIMA_BAGS
from false_minima import false_minima_row
from hacked_episodes import BAGS as EPISODE_BAGS
from hacked_episodes import hacked_row, honest_endings
from record import record
from side_by_side import add_models, describe, load_models, summary_rows

from molrl.envs.rules import REASON_TEXTS, Reason
from molrl.runs.progress import progress

Row = dict[str, object]
TARGETS = {
    "crowds: lowest error, eV": ">= -2",
    "crowds: more than 2 eV too low, %": "0",
    "minima: false, %": "<= 0.05",
    "minima: false with the default rules": "0",
    "episodes: bags with a hacked one, of 30": "0",
    "shipped molecules: ended by the rules, %": "<= 1",
    "SF6 and fluorinated molecules: ended by the rules, %": "<= 1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_models(parser)
    parser.add_argument("--restarts", type=int, default=4, help="crowds of each sort; default: 4")
    parser.add_argument("--relaxations", type=int, default=2000, help="per bag; default: 2000")
    parser.add_argument("--rounds", type=int, default=6, help="searches per bag; default: 6")
    parser.add_argument("--seed", type=int, default=77, help="no fit has seen it; default: 77")
    options = parser.parse_args()
    models = load_models(options.models)
    crowds: list[Row] = []
    minima: list[Row] = []
    episodes: list[Row] = []
    endings: list[Row] = []
    figures: dict[str, Row] = {}
    for name, model in models.items():
        of_crowds = crowd_rows(model, options.restarts, options.seed)
        of_minima = [
            false_minima_row(model, bag, options.relaxations, options.seed) for bag in MINIMA_BAGS
        ]
        of_episodes = []
        with progress(len(EPISODE_BAGS), f"hacked episodes with {model.name}") as bar:
            for bag in EPISODE_BAGS:
                of_episodes.append(hacked_row(model, bag, options.rounds, options.seed))
                bar.update(len(of_episodes), hacked=sum(bool(r["hacked"]) for r in of_episodes))
        of_honest = honest_endings(model, options.seed)
        figures[name] = (
            crowd_figures(of_crowds) | other_figures(of_minima, of_episodes) | share(of_honest)
        )
        crowds += [{"model": name, **row} for row in of_crowds]
        minima += [{"model": name, **row} for row in of_minima]
        episodes += [{"model": name, **row} for row in of_episodes]
        endings += ending_rows(name, of_honest)
    title = f"Attacks on {describe(models)}, checked by GFN2-xTB"
    record("reward_hacking", title, summary_rows(figures, TARGETS))
    record("reward_hacking_crowds", f"{title}: crowds, eV", crowds)
    record("reward_hacking_minima", f"{title}: minima of whole bags", minima)
    record("reward_hacking_episodes", f"{title}: episodes, eV", episodes)
    record("reward_hacking_honest", f"{title}: why honest episodes end", endings)


def crowd_figures(rows: list[Row]) -> Row:
    lowest = [row["lowest error"] for row in rows if row["lowest error"] is not None]
    return {
        "crowds: lowest error, eV": min(float(str(one)) for one in lowest),
        "crowds: more than 2 eV too low, %": percent(rows, "more than 2 eV too low", "crowds"),
    }


def other_figures(minima: list[Row], episodes: list[Row]) -> Row:
    return {
        "minima: false, %": percent(minima, "false", "relaxations"),
        "minima: false with the default rules": total(minima, "false with the default rules"),
        "episodes: bags with a hacked one, of 30": sum(bool(row["hacked"]) for row in episodes),
    }


def share(honest: dict[str, Counter[str]]) -> Row:
    complete = REASON_TEXTS[Reason.COMPLETE]
    return {
        f"{name}: ended by the rules, %": 100 * (1 - found[complete] / found.total())
        for name, found in honest.items()
    }


def ending_rows(model: str, honest: dict[str, Counter[str]]) -> list[Row]:
    return [
        {"model": model, "molecules": name, "reason": reason, "episodes": n}
        for name, found in honest.items()
        for reason, n in found.most_common()
    ]


def total(rows: list[Row], key: str) -> int:
    return sum(int(str(row[key])) for row in rows)


def percent(rows: list[Row], part: str, whole: str) -> float:
    return 100 * total(rows, part) / total(rows, whole)


if __name__ == "__main__":
    main()
