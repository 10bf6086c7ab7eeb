"""The placement attack: its figures, its acceptance thresholds, and when it fails."""

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
from molrl.fitting.data.config import GUARD
from molrl.neighbors import neighbor_pairs

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

import placement_attack as benchmark
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
    return Thresholds.load(benchmark.THRESHOLDS)


@pytest.fixture(scope="module")
def found():
    """The reports of the small attacks."""
    return benchmark.attack(benchmark.SMALL, load_energy("mace"), load_energy("gfn2"))


@pytest.fixture
def run_small(found, monkeypatch):
    """``run_small()``: exit code of the small benchmark, whose attacks are run only once."""

    def attack(attacks, model, reference):
        assert (attacks, model.name, reference.name) == (benchmark.SMALL, "mace", "gfn2")
        return found

    monkeypatch.setattr(benchmark, "attack", attack)
    return lambda: benchmark.main(["--small"])


@pytest.fixture
def statuses(thresholds):
    """``statuses(errors, guard)``: the status of each figure of an attack with these errors."""

    def check(errors, guard=0.0):
        rows = thresholds.rows(benchmark.figures({(NAME, guard, 0): report(errors)}))
        assert [str(row["figure"]).partition(": ")[2] for row in rows] == list(FIGURES)
        return [row["status"] for row in rows]

    return check


class Overbound(EnergyModel):
    """GFN2-xTB, but two atoms closer than 0.4 Å are bound by 1,000 eV more."""

    name = hash = "overbound"
    elements = (1, 6, 7, 8)

    def _evaluate(self, molecules, wanted):
        out = load_energy("gfn2")._evaluate(molecules, wanted)
        pairs = neighbor_pairs(molecules.positions, molecules.n_atoms, 0.4)
        close = torch.zeros(len(molecules), dtype=torch.bool)
        close[molecules.molecule[pairs[0]]] = True
        return replace(out, energy=out.energy - 1e3 * close)


def test_small_attack_finds_no_new_failure_of_the_shipped_model(run_small, capsys):
    assert run_small() == 0, capsys.readouterr().out


def test_small_attack_covers_enough_molecules(found):
    assert {guard for _, guard, _ in found} == {0.0, GUARD}
    assert all(len(some.errors) >= 25 for some in found.values())


def test_main_fails_if_a_threshold_is_exceeded(run_small, tmp_path, monkeypatch, capsys):
    path = tmp_path / "thresholds.yaml"
    path.write_text(benchmark.THRESHOLDS.read_text(encoding="utf-8"), encoding="utf-8")
    strict = path.read_text(encoding="utf-8").replace("aim: 2\n", "aim: 1e-6\n")
    path.write_text(strict, encoding="utf-8")
    monkeypatch.setattr(benchmark, "THRESHOLDS", path)
    assert run_small() == 1
    assert BROKEN in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "passes"),
    [(lambda: load_energy("gfn2"), True), (Overbound, False)],
    ids=["same", "overbound"],
)
def test_attack_accepts_the_reference_and_rejects_an_overbound_model(model, passes, thresholds):
    attacks = {NAME: (benchmark.random_placements(4), (0,))}
    reports = benchmark.attack(attacks, model(), load_energy("gfn2"))
    rows = thresholds.rows(benchmark.figures(reports))
    failed = [row["figure"] for row in rows if row["status"] in FAILED]
    free = [f"{NAME}, from 0.3 Å: {figure}" for figure in FIGURES]
    # With the guard no two atoms come close enough to be overbound.
    assert failed == ([] if passes else free)


@pytest.mark.parametrize(
    ("errors", "over"),
    [
        (np.zeros(200), []),
        (np.full(200, 0.11), [0]),
        (np.full(200, -0.11), [0]),
        (np.r_[np.zeros(195), np.full(5, -0.6)], [1]),  # 5 of 200 are 2.5 %
        (np.r_[np.zeros(199), -2.1], [2]),
        (np.r_[np.zeros(199), 2.1], []),  # underbound: no gain for an agent
        (np.full(200, np.nan), [0, 1, 2]),
    ],
)
def test_figures_are_checked_against_each_threshold(errors, over, statuses):
    assert [i for i, status in enumerate(statuses(errors)) if status != MET] == over


@pytest.mark.parametrize(
    "errors",
    [
        np.full(200, 0.08),
        np.r_[np.zeros(195), np.full(5, -0.4)],
        np.r_[np.zeros(199), -1.6],
    ],
    ids=FIGURES,
)
def test_thresholds_are_lower_with_the_guard(errors, statuses):
    assert statuses(errors) == [MET] * 3
    assert sum(status != MET for status in statuses(errors, GUARD)) == 1


def test_figures_are_the_worst_of_the_seeds():
    bad, good = report([-1.0, 1.0]), report([-0.5, 0.1])
    for some in ([bad, good], [good, bad]):
        found = benchmark.figures({(NAME, 0.0, seed): one for seed, one in enumerate(some)})
        assert found[f"{NAME}, from 0.3 Å: largest overbinding"] == 1.0
        assert found[f"{NAME}, from 0.3 Å: size of the mean error"] == pytest.approx(0.2)
    lost = benchmark.figures({(NAME, 0.0, 0): report([np.nan]), (NAME, 0.0, 1): good})
    assert np.isnan(list(lost.values())).all()


def test_guard_is_that_of_the_environment():
    assert Rules().clash_fraction == GUARD
    assert set(benchmark.DISTANCES) == {0.0, GUARD}


@pytest.mark.parametrize(
    ("found", "miss", "status"),
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
def test_threshold_status_distinguishes_known_misses_from_new_ones(found, miss, status):
    recorded = None if miss is None else "here"
    threshold = Threshold(name="figure", aim=0.5, known_miss=miss, recorded=recorded)
    assert threshold.status(found, margin=0.1) == status


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{name: a, aim: 0.5, known_miss: 0.4, recorded: here}", "does not exceed 0.5"),
        ("{name: a, aim: 0.5, known_miss: 0.6}", "or neither"),
        ("{name: a, aim: 0.5, recorded: here}", "or neither"),
        ("{name: a, aim: .nan}", "finite number"),
        ("{name: a, aims: 0.5}", "did you mean 'thresholds.0.aim'"),
    ],
)
def test_thresholds_refuse_an_invalid_file(line, said, tmp_path):
    (tmp_path / "t.yaml").write_text(f"margin: 0.1\nthresholds:\n  - {line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=said) as error:
        Thresholds.load(tmp_path / "t.yaml")
    assert "\n" not in str(error.value)


def test_thresholds_refuse_a_figure_without_an_aim(thresholds):
    with pytest.raises(InputError, match="no threshold for another figure"):
        thresholds.rows({"another figure": 0.0})


def test_thresholds_cover_exactly_the_figures(thresholds):
    attacks = benchmark.ATTACKS | benchmark.SMALL
    reports = {(name, guard, 0): report([0.0]) for name in attacks for guard in benchmark.DISTANCES}
    names = {threshold.name for threshold in thresholds.thresholds}
    assert names == set(benchmark.figures(reports))


def test_known_misses_are_the_recorded_figures(thresholds):
    path = "experiments/results/placement_attack.json"
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
