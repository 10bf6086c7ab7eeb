"""The short form of the gate; the whole is experiments/benchmarks/placement_gate.py."""

from functools import cache

import numpy as np
import pytest

from molrl.energy import load_energy
from molrl.energy.data.adversarial import AttackReport, placement_attack
from molrl.energy.data.placements import GUARD
from molrl.energy.gate import GATES, Gate
from molrl.envs.config import Rules


@cache
def attacked(guard):
    return placement_attack(load_energy("mace"), load_energy("gfn2"), 30, 200, 7, guard)


@pytest.mark.parametrize("guard", GATES)
def test_no_placement_finds_a_hole_in_the_shipped_model(guard):
    report = attacked(guard)
    assert len(report.errors) >= 25
    found = report.summary()
    assert abs(found["mean_error"]) <= GATES[guard].mean
    assert found["overbinding_max"] <= GATES[guard].overbinding_max


@pytest.mark.xfail(
    strict=True, reason="1 % of the placements are overbound by 0.5 to 1 eV; half of it is allowed"
)
@pytest.mark.parametrize("guard", GATES)
def test_shipped_model_passes_the_whole_gate(guard):
    assert GATES[guard].failures(attacked(guard)) == []


def test_the_guard_of_the_environment_halves_what_is_allowed():
    free, guarded = GATES[0.0], GATES[0.65]
    assert (free.mean, free.overbinding_99, free.overbinding_max) == (0.1, 0.5, 2.0)
    assert guarded == Gate(free.mean / 2, free.overbinding_99 / 2, free.overbinding_max / 2)


@pytest.mark.parametrize(
    ("errors", "over"),
    [
        (np.zeros(200), []),
        (np.full(200, 0.11), ["size"]),
        (np.full(200, -0.11), ["size"]),
        (np.r_[np.zeros(195), np.full(5, -0.6)], ["99th"]),  # 5 of 200 are 2.5 %
        (np.r_[np.zeros(199), -2.1], ["largest"]),
        (np.r_[np.zeros(199), 2.1], []),  # underbound: costs an agent, pays it nothing
        (np.full(200, np.nan), ["size", "99th", "largest"]),
    ],
)
def test_each_limit_is_held(errors, over):
    lines = GATES[0.0].failures(AttackReport(errors, failed=0, structures=[]))
    assert [line.split()[0] for line in lines] == over


def test_the_guard_is_the_environments():
    assert Rules().clash_fraction == GUARD
