"""The short form of the gate; the whole is experiments/benchmarks/placement_gate.py."""

import numpy as np

from molrl.energy import load_energy
from molrl.energy.data.adversarial import placement_attack


def test_shipped_model_is_not_fooled():
    report = placement_attack(load_energy("mace"), load_energy("gfn2"), 30, 200, seed=7)
    assert len(report.errors) >= 25
    assert abs(report.errors.mean()) <= 0.3
    assert np.abs(report.errors).max() <= 5.0
