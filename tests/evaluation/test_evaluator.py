import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.units import Bohr, Hartree
from scipy.spatial.transform import Rotation
from tblite.interface import Calculator

from molrl.evaluation.evaluator import EvaluationReport, evaluate_molecules
from molrl.molecules import MoleculeBatch

NAMES = ["CH3OH", "CH3CH2OH", "CH3OCH3", "H2O"]


def of(*names):
    return MoleculeBatch.from_ase([molecule(name) for name in names])


def distorted(batch, sigma=0.08, seed=0):
    noise = torch.randn(
        batch.positions.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return replace(batch, positions=batch.positions + sigma * noise)


@pytest.fixture(scope="module")
def verdict() -> EvaluationReport:
    return evaluate_molecules(distorted(of(*NAMES)))


def test_energies_are_those_of_tblite(verdict):
    for energy, (numbers, positions) in zip(
        verdict.energy, verdict.molecules.arrays(), strict=True
    ):
        calculator = Calculator("GFN2-xTB", numbers, positions / Bohr)
        calculator.set("verbosity", 0)
        expected = float(calculator.singlepoint().get("energy")) * Hartree
        assert energy == pytest.approx(expected, abs=1e-4)


def test_distorted_molecules_are_above_their_relaxed_selves(verdict):
    assert verdict.converged.all()
    assert (verdict.energy_above_relaxed > 0.05).all()
    np.testing.assert_allclose(
        verdict.energy_above_relaxed, verdict.energy - verdict.relaxed_energy
    )
    assert (verdict.rmsd > 0.01).all()
    assert verdict.valid.all()
    assert verdict.smiles == ["CO", "CCO", "COC", "O"]
    assert verdict.identity_kept.all()


def test_relaxed_molecules_have_nothing_to_gain(verdict):
    again = evaluate_molecules(verdict.relaxed)
    assert np.abs(again.energy_above_relaxed).max() < 1e-3
    assert again.rmsd.max() < 1e-3
    np.testing.assert_allclose(again.energy, verdict.relaxed_energy, atol=1e-4)


def test_turning_the_molecules_does_not_change_the_verdict(verdict):
    turn = torch.from_numpy(Rotation.random(random_state=3).as_matrix())
    turned = evaluate_molecules(
        replace(verdict.molecules, positions=verdict.molecules.positions @ turn.T - 1.0)
    )
    np.testing.assert_allclose(turned.energy, verdict.energy, atol=1e-4)
    np.testing.assert_allclose(turned.energy_above_relaxed, verdict.energy_above_relaxed, atol=2e-3)
    assert turned.smiles == verdict.smiles


def test_a_molecule_that_becomes_another_one_is_told():
    close = molecule("CH3OH")
    close.positions[close.numbers == 1] *= 1.9
    apart = evaluate_molecules(MoleculeBatch.from_ase([close, molecule("CH4")]))
    assert apart.identity_kept[1]
    assert apart.smiles[0] != "CO"
    assert apart.summary()["identity_kept_fraction"] == 1  # of the valid one


def test_the_lowest_energy_is_of_a_molecule_that_stays_what_it_is(verdict):
    same = np.flatnonzero(verdict.valid & verdict.identity_kept)
    assert len(same)
    changed = [
        None if i in same else name for i, name in enumerate(verdict.relaxed_chemistry.smiles)
    ]
    chemistry = replace(verdict.relaxed_chemistry, smiles=changed)
    others = replace(verdict, relaxed_chemistry=chemistry).summary()
    assert others["n_valid"] == verdict.summary()["n_valid"]
    assert others["lowest_energy"] is others["lowest_smiles"] is None


def test_the_summary_counts_right():
    water = molecule("H2O")
    water.positions += 8
    batch = MoleculeBatch.from_ase(
        [molecule("CH3CH2OH"), molecule("CH3OCH3"), molecule("C2H4") + water, molecule("CH3CH2OH")]
    )
    result = evaluate_molecules(distorted(batch, 0.02))
    summary = result.summary()
    assert (summary["n_molecules"], summary["n_valid"], summary["n_isomers"]) == (4, 3, 2)
    assert summary["valid_fraction"] == 0.75
    assert summary["unique_fraction"] == pytest.approx(2 / 3)
    assert summary["median_energy_above_relaxed"] == pytest.approx(
        np.median(result.energy_above_relaxed)
    )
    assert summary["lowest_energy"] == min(result.relaxed_energy[[0, 1, 3]])
    assert summary["lowest_smiles"] == "CCO"
    assert summary["n_failed"] == summary["n_unconverged"] == 0
    assert summary["judge"].startswith("gfn2 ")
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_energies_of_different_formulas_are_not_compared(verdict):
    assert verdict.summary()["lowest_energy"] is None
    assert not verdict.same_atoms


def test_what_did_not_converge_is_counted():
    result = evaluate_molecules(distorted(of("CH3OH", "CH3OH")), max_steps=1)
    assert not result.converged.any()
    assert result.summary()["n_unconverged"] == 2


def test_failures_make_no_figure_better(verdict):
    lost = np.array([True, True, True, False])
    broken = replace(
        verdict,
        energy=np.where(lost, np.nan, verdict.energy),
        relaxed_energy=np.where(lost, np.nan, verdict.relaxed_energy),
        rmsd=np.where(lost, np.nan, verdict.rmsd),
        converged=~lost,
        failures=dict.fromkeys(range(3), "SCF"),
    )
    summary = broken.summary()
    assert summary["median_energy_above_relaxed"] is None
    assert summary["median_rmsd"] is None
    assert summary["n_failed"] == 3
    assert summary["n_unconverged"] == 0
    json.dumps(summary, allow_nan=False)
    one = replace(broken, energy=np.append(verdict.energy[:3], np.nan))
    one = replace(one, relaxed_energy=np.append(verdict.relaxed_energy[:3], np.nan))
    median = one.summary()["median_energy_above_relaxed"]
    assert median > np.median(verdict.energy_above_relaxed[:3])


def test_single_atoms_and_radicals_are_judged():
    result = evaluate_molecules(MoleculeBatch.from_ase([Atoms("H"), molecule("CH3")]))
    assert np.isfinite(result.energy).all()
    assert result.converged.all()
    assert not result.valid.any()
    assert result.summary()["unique_fraction"] is None
