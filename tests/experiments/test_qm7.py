"""The figures of the QM7 benchmarks, on data with known results."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

from molrl.molecules import MoleculeBatch

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from energy_qm7 import Compared
from qm7 import Molecules
from relaxation_qm7 import spread


def compared(formulas, predicted, reference):
    """Return molecules of two atoms without errors in the forces."""
    n = len(formulas)
    return Compared(
        formulas=np.array(list(formulas)),
        n_atoms=np.full(n, 2),
        energy=np.array([predicted, reference], dtype=float),
        forces=np.zeros((2, 2 * n, 3)),
    )


def test_compared_row_removes_the_offset_of_each_formula():
    row = compared("AAABB", [1.0, 2.0, 3.0, 7.0, 9.0], [0.5, 1.5, 2.5, 8.0, 10.0]).row("all")
    assert row["energy MAE meV/atom"] == pytest.approx(1e3 * (3 * 0.25 + 2 * 0.5) / 5)
    assert row["after offset"] == pytest.approx(0)
    assert row["rank correlation"] == pytest.approx(1)
    assert row["formulas"] == 1  # two molecules have always a correlation of 1 or -1


def test_compared_row_omits_single_molecules_after_the_offset():
    row = compared("AAB", [0.0, 2.0, 9.0], [0.0, 0.0, 0.0]).row("all")
    assert (row["count"], row["of"]) == (3, 2)
    assert row["energy MAE meV/atom"] == pytest.approx(1e3 * 11 / 6)
    assert row["after offset"] == pytest.approx(500)


def test_compared_row_gives_force_errors_of_components_and_vectors():
    one = compared("A", [0.0], [0.0])
    one.forces[0, 0] = [0.3, 0.4, 0.0]
    row = one.row("all")
    assert row["force MAE meV/Å, component"] == pytest.approx(1e3 * 0.7 / 6)
    assert row["vector"] == pytest.approx(250)


def test_spread_takes_each_formula_once_before_any_twice():
    names = ["CH4"] * 6 + ["H2O", "CH3CH2OH", "CH3OCH3"]
    found = Molecules(MoleculeBatch.from_ase([molecule(name) for name in names]), Counter())
    chosen = found.formulas()[spread(found, 5)]
    assert Counter(chosen.tolist()) == {"CH4": 2, "H2O": 1, "C2H6O": 2}
    assert len(set(spread(found, 9))) == 9
