"""The gate against fooling: what it measures, what it lets pass, and when it fails."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from molrl.energy import load_energy
from molrl.energy.interface import EnergyModel
from molrl.envs.config import Rules
from molrl.errors import InputError
from molrl.fitting.data.adversarial import AttackReport
from molrl.fitting.data.placements import GUARD
from molrl.neighbors import neighbor_pairs

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

import placement_gate as gate
from thresholds import BROKEN, FAILED, KNOWN, MET, WORSE, Threshold, Thresholds

ROOT = Path(__file__).parents[2]
FIGURES = (
    "size of the mean error",
    "99th percentile of the overbinding",
    "largest overbinding",
)
NAME = "best of 200 random placements"


def report(errors):
    return AttackReport(np.asarray(errors, float), failed=0, structures=[])


@pytest.fixture(scope="module")
def thresholds():
    return Thresholds.load(gate.THRESHOLDS)


@pytest.fixture(scope="module")
def found():
    """What the attacks of the small gate find."""
    return gate.attack(gate.SMALL, load_energy("mace"), load_energy("gfn2"))


@pytest.fixture
def small_gate(found, monkeypatch):
    """``small_gate()``: the exit code of the small gate, whose attacks are run but once."""

    def attack(attacks, model, reference):
        assert (attacks, model.name, reference.name) == (gate.SMALL, "mace", "gfn2")
        return found

    monkeypatch.setattr(gate, "attack", attack)
    return lambda: gate.main(["--small"])


@pytest.fixture
def verdicts(thresholds):
    """What is said of the errors of one attack, by figure, for a guard."""

    def judge(errors, guard=0.0):
        rows = thresholds.rows(gate.figures({(NAME, guard, 0): report(errors)}))
        assert [str(row["figure"]).partition(": ")[2] for row in rows] == list(FIGURES)
        return [row["verdict"] for row in rows]

    return judge


class Hole(EnergyModel):
    """GFN2-xTB, but two atoms closer than 0.4 Å are bound by 1,000 eV more."""

    name = hash = "hole"
    elements = (1, 6, 7, 8)

    def _evaluate(self, molecules, wanted):
        out = load_energy("gfn2")._evaluate(molecules, wanted)
        pairs = neighbor_pairs(molecules.positions, molecules.n_atoms, 0.4)
        holed = torch.zeros(len(molecules), dtype=torch.bool)
        holed[molecules.molecule[pairs[0]]] = True
        return replace(out, energy=out.energy - 1e3 * holed)


def test_small_gate_finds_no_new_hole_in_the_shipped_model(small_gate, capsys):
    assert small_gate() == 0, capsys.readouterr().out


def test_small_gate_attacks_enough_molecules_to_be_worth_it(found):
    assert {guard for _, guard, _ in found} == {0.0, GUARD}
    assert all(len(some.errors) >= 25 for some in found.values())


def test_gate_fails_where_an_aim_is_missed(small_gate, tmp_path, monkeypatch, capsys):
    path = tmp_path / "thresholds.yaml"
    path.write_text(gate.THRESHOLDS.read_text(encoding="utf-8"), encoding="utf-8")
    strict = path.read_text(encoding="utf-8").replace("aim: 2\n", "aim: 1e-6\n")
    path.write_text(strict, encoding="utf-8")
    monkeypatch.setattr(gate, "THRESHOLDS", path)
    assert small_gate() == 1
    assert BROKEN in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "passes"), [(lambda: load_energy("gfn2"), True), (Hole, False)], ids=["same", "hole"]
)
def test_gate_passes_the_reference_itself_and_no_model_with_a_hole(model, passes, thresholds):
    attacks = {NAME: (gate.random_placements(4), (0,))}
    rows = thresholds.rows(gate.figures(gate.attack(attacks, model(), load_energy("gfn2"))))
    failed = [row["figure"] for row in rows if row["verdict"] in FAILED]
    free = [f"{NAME}, from 0.3 Å: {figure}" for figure in FIGURES]
    # Behind the guard no placement gets into the hole.
    assert failed == ([] if passes else free)


@pytest.mark.parametrize(
    ("errors", "over"),
    [
        (np.zeros(200), []),
        (np.full(200, 0.11), [0]),
        (np.full(200, -0.11), [0]),
        (np.r_[np.zeros(195), np.full(5, -0.6)], [1]),  # 5 of 200 are 2.5 %
        (np.r_[np.zeros(199), -2.1], [2]),
        (np.r_[np.zeros(199), 2.1], []),  # underbound: costs an agent, pays it nothing
        (np.full(200, np.nan), [0, 1, 2]),
    ],
)
def test_gate_holds_each_aim(errors, over, verdicts):
    assert [i for i, verdict in enumerate(verdicts(errors)) if verdict != MET] == over


@pytest.mark.parametrize(
    "errors",
    [
        np.full(200, 0.08),
        np.r_[np.zeros(195), np.full(5, -0.4)],
        np.r_[np.zeros(199), -1.6],
    ],
    ids=FIGURES,
)
def test_gate_allows_less_behind_the_environments_guard(errors, verdicts):
    assert verdicts(errors) == [MET] * 3
    assert sum(verdict != MET for verdict in verdicts(errors, GUARD)) == 1


def test_gate_takes_the_worst_of_the_seeds():
    bad, good = report([-1.0, 1.0]), report([-0.5, 0.1])
    for some in ([bad, good], [good, bad]):
        found = gate.figures({(NAME, 0.0, seed): one for seed, one in enumerate(some)})
        assert found[f"{NAME}, from 0.3 Å: largest overbinding"] == 1.0
        assert found[f"{NAME}, from 0.3 Å: size of the mean error"] == pytest.approx(0.2)
    lost = gate.figures({(NAME, 0.0, 0): report([np.nan]), (NAME, 0.0, 1): good})
    assert np.isnan(list(lost.values())).all()


def test_gate_guards_as_the_environment_does():
    assert Rules().clash_fraction == GUARD
    assert set(gate.DISTANCES) == {0.0, GUARD}


@pytest.mark.parametrize(
    ("found", "miss", "verdict"),
    [
        (0.5, None, MET),
        (0.51, None, BROKEN),
        (np.nan, None, BROKEN),
        (0.5, 1.0, MET),
        (0.51, 1.0, KNOWN),
        (1.09, 1.0, KNOWN),
        (1.11, 1.0, WORSE),
        (np.nan, 1.0, WORSE),
    ],
)
def test_threshold_tells_a_known_miss_from_a_new_one(found, miss, verdict):
    recorded = None if miss is None else "here"
    threshold = Threshold(name="figure", aim=0.5, known_miss=miss, recorded=recorded)
    assert threshold.verdict(found, margin=0.1) == verdict


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{name: a, aim: 0.5, known_miss: 0.4, recorded: here}", "is no miss of 0.5"),
        ("{name: a, aim: 0.5, known_miss: 0.6}", "come together"),
        ("{name: a, aim: 0.5, recorded: here}", "come together"),
        ("{name: a, aim: .nan}", "finite number"),
        ("{name: a, aims: 0.5}", "did you mean 'aim'"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(line, said, tmp_path):
    (tmp_path / "t.yaml").write_text(f"margin: 0.1\nthresholds:\n  - {line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=said) as error:
        Thresholds.load(tmp_path / "t.yaml")
    assert "\n" not in str(error.value)


def test_thresholds_refuse_a_figure_without_an_aim(thresholds):
    with pytest.raises(InputError, match="no threshold for another figure"):
        thresholds.rows({"another figure": 0.0})


def test_thresholds_are_those_of_all_figures_and_no_other(thresholds):
    attacks = gate.ATTACKS | gate.SMALL
    reports = {(name, guard, 0): report([0.0]) for name in attacks for guard in gate.DISTANCES}
    assert {threshold.name for threshold in thresholds.thresholds} == set(gate.figures(reports))


def test_known_misses_are_the_figures_that_were_recorded(thresholds):
    path = "experiments/results/placement_gate.json"
    columns = dict(zip(FIGURES, ("mean_error", "overbinding_99", "overbinding_max"), strict=True))
    rows = json.loads((ROOT / path).read_text(encoding="utf-8"))["rows"]
    misses = [t for t in thresholds.thresholds if t.recorded == path]
    assert len(misses) >= 6
    for miss in misses:
        panel, _, figure = miss.name.partition(": ")
        mine = [row for row in rows if f"{row['attack']}, {row['distances']}" == panel]
        assert miss.known_miss == pytest.approx(
            max(abs(row[columns[figure]]) for row in mine), abs=1e-3
        )
