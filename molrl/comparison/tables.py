"""The tables of a comparison: their rows, and in Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from molrl.comparison.config import REAL
from molrl.comparison.figures import Results, costs_beside_baseline

Row = Sequence[str]
STAR = "★"
_MOLECULES = (
    *("method", "molecules", "valid, %", "relaxed, %", "strain, eV", "distinct", "of known"),
    "near best, %",
)
_COSTS = (
    *("method", "calls", "calls each", "with training", "per 1,000 calls", "per CPU min"),
    *("training calls", "break-even"),
)


def rows_of_molecules(results: Results, summary: Mapping[str, Any]) -> list[Row]:
    """Return the table of what the methods made, all tasks together, the headings first.

    Args:
        results: the finished runs.
        summary: of :func:`molrl.comparison.figures.summarise`.
    """
    left = () if results.config.relax else ("relaxed, %",)
    keep = [heading not in left for heading in _MOLECULES]
    methods = summary["methods"].items()
    rows = [_MOLECULES, *(_made(_named(name, summary), each) for name, each in methods)]
    return [[cell for cell, kept in zip(row, keep, strict=True) if kept] for row in rows]


def _named(name: str, summary: Mapping[str, Any]) -> str:
    """Return a method, with the number of tasks of which it made molecules if not of all."""
    made, n_tasks = summary["methods"][name]["n_tasks"], len(summary["tasks"])
    return name if made == n_tasks else f"{name} ({made} of {n_tasks} tasks)"


def _made(name: str, figures: Mapping[str, Any]) -> Row:
    made, relaxed = figures["generated"], figures.get("relaxed")
    known_found = sum(task["n_known_found"] for task in figures["tasks"].values())
    return (
        name,
        str(made["n_molecules"]),
        _share(made["valid_fraction"]),
        _share(relaxed["valid_fraction"]) if relaxed else "-",
        _number(made["median_strain"], ".2f"),
        str((relaxed or made)["n_distinct"]),
        str(known_found),
        _share(figures["success_fraction"], ".0f"),
    )


def rows_of_costs(results: Results, summary: Mapping[str, Any]) -> list[Row]:
    """Return the table of what molecules cost, all tasks together, the headings first.

    Args:
        results: the finished runs.
        summary: of :func:`molrl.comparison.figures.summarise`.
    """
    return [_COSTS, *(_cost(results, summary, name) for name in results.config.methods)]


def _cost(results: Results, summary: Mapping[str, Any], name: str) -> Row:
    figures = summary["methods"][name]
    return (
        _named(name, summary),
        f"{figures['energy_calls']:,}",
        _number(figures["energy_calls_per_distinct"], ".0f"),
        _number(figures["energy_calls_per_distinct_amortised"], ".0f"),
        _number(figures["distinct_per_1000_energy_calls"], ".2f"),
        _number(figures["distinct_per_cpu_minute"], ".1f"),
        _training(figures["training_energy_calls"]),
        _break_even(figures, costs_beside_baseline(results, name)),
    )


def _training(calls: int | None) -> str:
    if calls is None:
        return "unknown"
    return f"{calls:,}" if calls else "none"


def _break_even(figures: Mapping[str, Any], costs: tuple[float, float] | None) -> str:
    if costs is None or not figures["training_energy_calls"]:
        return "-"
    number = figures["break_even"]
    return "never" if number is None else f"{number:,}"


def rows_of_tasks(results: Results, summary: Mapping[str, Any]) -> list[Row]:
    """Return the distinct valid molecules of a run by task and method, the headings first.

    Args:
        results: the finished runs.
        summary: of :func:`molrl.comparison.figures.summarise`.
    """
    names = list(results.config.methods)
    rows: list[Row] = [("task", "known", "best known", *names)]
    for task, facts in summary["tasks"].items():
        cells = [_of_task(summary["methods"][name]["tasks"].get(task)) for name in names]
        best = f"`{facts['best_smiles']}`" if facts["best_smiles"] else "-"
        rows.append((task, str(facts["n_known"]), best, *cells))
    return rows


def _of_task(figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return "not run"
    if figures["failures"] and not figures["generated"]["n_molecules"]:
        return "failed"
    near = f" {STAR}" if figures["success_fraction"] == 1 else ""
    return f"{figures['n_distinct_per_run']:.1f}{near}"


def failures(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each method and reason why runs of it failed.

    Args:
        summary: of :func:`molrl.comparison.figures.summarise`.
    """
    for name, figures in summary["methods"].items():
        reasons: dict[str, list[str]] = {}
        for failure in figures["failures"]:
            where = failure["task"] if name == REAL else f"{failure['task']} seed {failure['seed']}"
            reasons.setdefault(failure["reason"], []).append(where)
        for reason, where in reasons.items():
            yield f"{name}, {', '.join(where)}: {reason}"


def as_markdown(results: Results, summary: Mapping[str, Any]) -> str:
    """Return ``table.md``.

    Args:
        results: the finished runs.
        summary: of :func:`molrl.comparison.figures.summarise`.
    """
    lines = [
        f"# {title(results)}",
        "",
        *about(results),
        "",
        *_table(rows_of_molecules(results, summary)),
        "",
        "## Costs",
        "",
        *_table(rows_of_costs(results, summary)),
        "",
        *meanings(results),
        "",
        "## Distinct valid molecules of a run, by task",
        "",
        *_table(rows_of_tasks(results, summary)),
        "",
        f"{STAR}: every run came within {results.config.within:g} eV of the lowest molecule known.",
    ]
    failed = list(failures(summary))
    if failed:
        lines += ["", "## Failures", "", *(f"- {line}" for line in failed)]
    return "\n".join(lines) + "\n"


def title(results: Results) -> str:
    """Return the title of a comparison.

    Args:
        results: the finished runs.
    """
    methods, tasks = results.config.methods, results.tasks
    on = f"{len(tasks)} tasks" if len(tasks) > 1 else tasks[0]
    return f"{len(methods)} method{'s' * (len(methods) > 1)} on {on}"


def about(results: Results) -> list[str]:
    """Return what was compared, in sentences.

    Args:
        results: the finished runs.
    """
    config = results.config
    limits = []
    if config.n_molecules is not None:
        limits.append(f"{config.n_molecules:,} molecules")
    if config.energy_calls is not None:
        limits.append(f"{config.energy_calls:,} evaluations of `{config.energy}`")
    relaxed = f", relaxed to {config.force_tolerance:g} eV/Å" if config.relax else ""
    seeds = ", ".join(map(str, config.seeds))
    evaluator = next((u.generated.evaluator for u in results.units if u.generated.evaluator), "-")
    return [
        f"Each run of a method made molecules of one task in batches of {config.batch_size}"
        f"{relaxed}, until it had {' or '.join(limits)}. Seeds: {seeds}. All evaluations are "
        f"counted, those of the relaxation too. Evaluator: {evaluator}, and RDKit."
    ]


def meanings(results: Results) -> list[str]:
    """Return what the columns mean, as a list in Markdown.

    Args:
        results: the finished runs.
    """
    config = results.config
    known = "the file `known`" if config.known else "the set that the package ships"
    return [
        f"- `{REAL}`: the isomers of the tasks in {known}, what could be found.",
        "- valid: as made; relaxed: those that are valid after the relaxation.",
        "- strain: median energy of a molecule as made above its minimum, by the evaluator.",
        "- distinct: valid molecules of different connectivity, all seeds together; of known: those"
        " that are among the real molecules.",
        f"- near best: the share of runs that found a molecule within {config.within:g} eV of the "
        "lowest known, of any method; of tasks of one formula. A run without molecules did not.",
        "- calls: evaluations of the energy model; calls each: those for a distinct valid molecule "
        f"of a run; with training: the same with the training spread over {config.amortised_over:,}"
        " molecules.",
        "- per 1,000 calls, per CPU min: distinct valid molecules of a run for its energy "
        "evaluations, and for the processor time of the process, without that of the evaluator.",
        "- training calls: evaluations to train an agent. What learned from the molecules of the "
        "package has none of its own; these were relaxed with GFN2-xTB.",
        "- break-even: the number of distinct valid molecules from which on the training has saved "
        "more evaluations than it took, against random search on the tasks of which both made "
        "molecules; never, if random search needs fewer for one.",
        "- of a method that made molecules of some tasks only, the figures are of these, with the "
        "evaluations that it lost on the others.",
    ]


def _table(rows: Sequence[Row]) -> list[str]:
    head, *body = rows
    line = ["---", *(len(head) - 1) * ["---:"]]
    return [f"| {' | '.join(row)} |" for row in (head, line, *body)]


def _share(value: float | None, style: str = ".1f") -> str:
    return "-" if value is None else format(100 * value, style)


def _number(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)
