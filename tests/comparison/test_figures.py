"""Figures of a comparison, from runs that are made up."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.comparison.config import REAL, CompareConfig
from molrl.comparison.curves import amortised_costs, discovery_curves, plot_curves
from molrl.comparison.figures import Results, summarise
from molrl.comparison.report import _table, write_html
from molrl.comparison.tables import as_markdown
from molrl.comparison.units import STAGES, Rows, Unit
from molrl.files import write_extxyz
from molrl.tasks import parse_task
from molrl.tasks.bags import BagsTask


def rows(smiles, energies):
    n = len(smiles)
    return Rows(
        smiles=list(smiles),
        valid=[each is not None for each in smiles],
        reasons=["" if each else "no bonds" for each in smiles],
        kept=n * [True],
        energy=[None if e is None else e + 0.5 for e in energies],
        relaxed_energy=list(energies),
        rmsd=n * [0.1],
        evaluator="gfn2 0",
    )


def unit(method, calls, smiles, energies, seed=0, failure=""):
    n = len(smiles)
    when = [int(calls * (i + 1) / n) for i in range(n)]
    made = rows(smiles, energies)
    return Unit(
        method, "C2H6O", seed, failure, False, n, calls, calls, 0, 1.0, 1.0, 2.0, when,
        [float(i) for i in when], [], made, made,
    )  # fmt: skip


@pytest.fixture
def results():
    """Random search finds 2 isomers for 100 calls, a trained agent 1 for 10."""
    config = CompareConfig(
        run_dir=Path("unused"),
        tasks=("C2H6O",),
        methods={"search": "random-search", "agent": "random", "poor": "random"},
        seeds=(0, 1),
    )
    return Results(
        config,
        [
            unit(REAL, 0, ["CCO", "COC"], [-10.0, -9.5]),
            unit("search", 100, ["CCO", "COC", "CCO", None], [-10.0, -9.5, -9.9, None]),
            unit("search", 100, ["COC", "COC", "CCO", None], [-9.5, -9.5, -9.8, None], seed=1),
            unit("agent", 10, ["COC"], [-9.5]),
            unit("agent", 10, ["OCC=O"], [-9.95], seed=1),
            unit("poor", 100, ["COC"], [-9.5]),
            unit("poor", 0, [], [], seed=1, failure="it gave up"),
        ],
        {"search": 0, "agent": 4_000, "poor": 4_000},
    )


def test_figures_compare_the_costs_of_a_molecule(results):
    methods = summarise(results)["methods"]
    assert methods["search"]["energy_calls_per_distinct"] == 50
    assert methods["agent"]["energy_calls_per_distinct"] == 10
    assert methods["agent"]["energy_calls_per_distinct_amortised"] == 10.4
    assert methods["agent"]["break_even"] == 100  # 4,000 calls of training, 40 saved each
    assert methods["poor"]["break_even"] is None
    assert methods["search"]["break_even"] is None


def test_break_even_is_of_tasks_of_which_both_methods_made_molecules(results):
    config = results.config.model_copy(update={"tasks": (parse_task("C2H6O"), parse_task("CH4O"))})
    other = [
        replace(unit("search", 900, ["CO"], [-20.0]), task="CH4O"),
        replace(unit("agent", 0, [], [], failure="it cannot make it"), task="CH4O"),
    ]
    both = Results(config, [*results.units, *other], results.training)
    figures = summarise(both)["methods"]["agent"]
    assert (figures["n_tasks"], figures["break_even"]) == (1, 100)  # as without the other task
    text = as_markdown(both, summarise(both))
    assert text.count("| agent (1 of 2 tasks) |") == 2
    assert "search (" not in text


def test_known_isomers_are_near_the_best_of_the_tasks_that_have_any(results):
    config = results.config.model_copy(update={"tasks": (parse_task("C2H6O"), parse_task("CH4O"))})
    none = replace(unit(REAL, 0, [], [], failure="no isomers are known"), task="CH4O")
    methods = summarise(Results(config, [*results.units, none], results.training))["methods"]
    assert methods[REAL]["success_fraction"] == 1
    assert methods["poor"]["success_fraction"] == 0  # the run without molecules counts


def test_figures_pool_runs_by_method(results):
    methods = summarise(results)["methods"]
    stage = methods["search"]["relaxed"]
    assert (stage["n_molecules"], stage["n_valid"], stage["n_distinct"]) == (8, 6, 2)
    assert stage["lowest_smiles"] == "CCO"
    assert stage["median_strain"] == pytest.approx(0.5)
    assert stage["invalid"] == {"no bonds": 2}
    assert methods["search"]["success_fraction"] == 0.5  # 0.2 eV above the best is not near
    assert methods["agent"]["tasks"]["C2H6O"]["n_beyond_known"] == 1
    assert methods["poor"]["failures"] == [
        {"task": "C2H6O", "seed": 1, "reason": "it gave up", "crashed": False},
    ]


def test_curves_end_with_all_that_a_run_has_found(results):
    results.units[-2] = replace(results.units[-2], seconds=1.2996, seconds_when_found=[1.3])
    units = [each for each in results.units if each.method == "poor"]
    only = Results(results.config, units, results.training)
    assert (
        discovery_curves(only, ["poor"], None, "seconds")["poor"].value[-1] == 0.5
    )  # 1 in 2 seeds


def test_figures_do_not_compare_energies_of_several_formulas(results):
    config = results.config.model_copy(update={"tasks": (BagsTask(bags=["C2H6O", "CH4"]),)})
    units = [replace(each, task=str(config.tasks[0])) for each in results.units]
    summary = summarise(Results(config, units, results.training))
    figures = summary["methods"]["search"]
    assert (figures["success_fraction"], figures["relaxed"]["lowest_energy"]) == (None, None)
    assert summary["tasks"][str(config.tasks[0])]["best_smiles"] is None


def test_curve_of_costs_meets_that_of_random_search_at_the_break_even(results):
    curves = amortised_costs(results)
    number, agent, search = curves["agent"].cost, curves["agent"].value, curves["search"].value
    meets = number[np.flatnonzero(agent <= search)[0]]
    assert 100 <= meets < 110


def test_table_says_the_break_even_and_what_failed(results):
    text = as_markdown(results, summarise(results))
    costs = text.partition("## Costs")[2]
    lines = {line.split("|")[1].strip(): line for line in costs.splitlines() if "|" in line}
    assert lines["agent"].rstrip(" |").endswith("| 4,000 | 100")
    assert lines["poor"].rstrip(" |").endswith("| 4,000 | never")
    assert "- poor, C2H6O seed 1: it gave up" in text


def test_table_has_no_break_even_without_a_random_search(results):
    methods = {name: row for name, row in results.config.methods.items() if name != "search"}
    config = results.config.model_copy(update={"methods": methods})
    alone = Results(config, [u for u in results.units if u.method != "search"], results.training)
    costs = as_markdown(alone, summarise(alone)).partition("## Costs")[2]
    assert "never" not in "".join(line for line in costs.splitlines() if line.startswith("|"))


def test_table_has_no_break_even_where_random_search_made_molecules_of_other_tasks(results):
    config = results.config.model_copy(update={"tasks": (parse_task("C2H6O"), parse_task("CH4O"))})
    units = [
        replace(each, task="CH4O") if each.method == "agent" else each for each in results.units
    ]
    apart = Results(config, units, results.training)
    costs = as_markdown(apart, summarise(apart)).partition("## Costs")[2]
    (line,) = (line for line in costs.splitlines() if line.startswith("| agent"))
    assert line.endswith("| 4,000 | - |")


def test_report_keeps_the_star_of_runs_that_came_near_the_best():
    assert _table([["task", "search"], ["CH4O", "2.0 ★"], ["CH4", "1.0"]]).rows == [
        ["CH4O", "2.0 ★"],
        ["CH4", 1.0],
    ]


def test_report_does_not_read_names_as_numbers():
    table = _table([["method", "distinct"], ["1e5", "1,234"], ["nan", "-"]])
    assert table.rows == [["1e5", 1234], ["nan", None]]


def test_report_shows_an_agent_place_its_atoms(results, tmp_path):
    ethanol = shipped_molecules().isomers("C2H6O").molecules[[0]]
    for each in results.units:
        for stage in STAGES if each.generated.smiles else ():
            path = tmp_path / each.key.folder / f"{stage}.extxyz"
            write_extxyz(path, ethanol[len(each.generated.smiles) * [0]], {})
    plot_curves(results, tmp_path / "curves.png")
    write_html(results, summarise(results), tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", text)
    assert headings[5:7] == ["Placed atom by atom", "Molecules of C2H6O"]
    assert "Failures" in headings
    assert "poor, C2H6O seed 1: it gave up" in text
    scenes = json.loads(re.search(r'id="scenes">(.*?)</script>', text)[1])
    first = [len(frame["z"]) for frame in scenes["molecules"][0]]
    assert first == [*range(1, 10), 9]  # the last is relaxed
