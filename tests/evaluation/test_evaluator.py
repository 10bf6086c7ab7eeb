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

from molrl.chemistry.embedding import from_smiles
from molrl.energy import load_energy
from molrl.evaluation.evaluator import EvaluationReport, evaluate_molecules
from molrl.evaluation.outputs import write_molecules
from molrl.files import read_molecules
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
def report() -> EvaluationReport:
    return evaluate_molecules(distorted(of(*NAMES)))


def test_evaluate_molecules_gives_the_energies_of_tblite(report):
    for energy, (numbers, positions) in zip(report.energy, report.molecules.arrays(), strict=True):
        calculator = Calculator("GFN2-xTB", numbers, positions / Bohr)
        calculator.set("verbosity", 0)
        expected = float(calculator.singlepoint().get("energy")) * Hartree
        assert energy == pytest.approx(expected, abs=1e-4)


def test_evaluate_molecules_gives_distorted_molecules_strain(report):
    assert report.converged.all()
    assert (report.strain > 0.05).all()
    np.testing.assert_allclose(report.strain, report.energy - report.relaxed_energy)
    assert (report.rmsd > 0.01).all()
    assert report.valid.all()
    assert report.smiles == ["CO", "CCO", "COC", "O"]
    assert report.connectivity_preserved.all()


def test_evaluate_molecules_gives_relaxed_molecules_no_strain(report):
    again = evaluate_molecules(report.relaxed)
    assert np.abs(again.strain).max() < 1e-3
    assert again.rmsd.max() < 1e-3
    np.testing.assert_allclose(again.energy, report.relaxed_energy, atol=1e-4)


def test_evaluate_molecules_is_invariant_to_rotation(report):
    turn = torch.from_numpy(Rotation.random(random_state=3).as_matrix())
    turned = evaluate_molecules(
        replace(report.molecules, positions=report.molecules.positions @ turn.T - 1.0)
    )
    np.testing.assert_allclose(turned.energy, report.energy, atol=1e-4)
    np.testing.assert_allclose(turned.strain, report.strain, atol=2e-3)
    assert turned.smiles == report.smiles


def test_connectivity_preserved_is_false_for_a_molecule_that_reacts():
    close = molecule("CH3OH")
    close.positions[close.numbers == 1] *= 1.9
    apart = evaluate_molecules(MoleculeBatch.from_ase([close, molecule("CH4")]))
    assert apart.connectivity_preserved.tolist() == [False, True]
    assert apart.smiles[0] != "CO"
    assert apart.summary()["identity_kept_fraction"] == 1  # of the valid one


def test_summary_takes_the_lowest_energy_of_preserved_connectivity(report):
    same = np.flatnonzero(report.valid & report.connectivity_preserved)
    assert len(same)
    changed = [
        None if i in same else name for i, name in enumerate(report.relaxed_chemistry.smiles)
    ]
    chemistry = replace(report.relaxed_chemistry, smiles=changed)
    others = replace(report, relaxed_chemistry=chemistry).summary()
    assert others["n_valid"] == report.summary()["n_valid"]
    assert others["lowest_energy"] is others["lowest_smiles"] is None


def test_summary_counts_molecules():
    water = molecule("H2O")
    water.positions += 8
    batch = MoleculeBatch.from_ase(
        [molecule("CH3CH2OH"), molecule("CH3OCH3"), molecule("C2H4") + water, molecule("CH3CH2OH")]
    )
    result = evaluate_molecules(distorted(batch, 0.02))
    summary = result.summary()
    assert (summary["n_molecules"], summary["n_valid"], summary["n_distinct"]) == (4, 3, 2)
    assert summary["valid_fraction"] == 0.75
    assert summary["unique_fraction"] == pytest.approx(2 / 3)
    assert summary["median_strain"] == pytest.approx(np.median(result.strain))
    assert summary["lowest_energy"] == min(result.relaxed_energy[[0, 1, 3]])
    assert summary["lowest_smiles"] == "CCO"
    assert summary["n_failed"] == summary["n_unconverged"] == 0
    assert summary["evaluator"].startswith("gfn2 ")
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_summary_compares_no_energies_of_different_formulas(report):
    assert report.summary()["lowest_energy"] is None
    assert not report.same_composition


def test_summary_counts_unconverged_relaxations():
    result = evaluate_molecules(distorted(of("CH3OH", "CH3OH")), max_steps=1)
    assert not result.converged.any()
    assert result.summary()["n_unconverged"] == 2


def test_summary_is_not_improved_by_failures(report):
    lost = np.array([True, True, True, False])
    broken = replace(
        report,
        energy=np.where(lost, np.nan, report.energy),
        relaxed_energy=np.where(lost, np.nan, report.relaxed_energy),
        rmsd=np.where(lost, np.nan, report.rmsd),
        converged=~lost,
        failures=dict.fromkeys(range(3), "SCF"),
    )
    summary = broken.summary()
    assert summary["median_strain"] is None
    assert summary["median_rmsd"] is None
    assert summary["n_failed"] == 3
    assert summary["n_unconverged"] == 0
    json.dumps(summary, allow_nan=False)
    one = replace(broken, energy=np.append(report.energy[:3], np.nan))
    one = replace(one, relaxed_energy=np.append(report.relaxed_energy[:3], np.nan))
    median = one.summary()["median_strain"]
    assert median > np.median(report.strain[:3])


def test_evaluate_molecules_takes_single_atoms_and_radicals():
    result = evaluate_molecules(MoleculeBatch.from_ase([Atoms("H"), molecule("CH3")]))
    assert np.isfinite(result.energy).all()
    assert result.converged.all()
    assert not result.valid.any()
    assert result.summary()["unique_fraction"] is None


@pytest.fixture(scope="module")
def ions():
    """Ammonium, formate, and oxygen in its triplet state."""
    charged = MoleculeBatch.from_rdkit([from_smiles(s, 0) for s in ("[NH4+]", "O=C[O-]")])
    oxygen = molecule("O2")
    oxygen.info["spin"] = 3
    return MoleculeBatch.cat([charged, MoleculeBatch.from_ase(oxygen)])


@pytest.mark.parametrize("model", ["gfn2", "spgfn2"])
def test_evaluate_molecules_keeps_charge_and_spin(ions, model):
    report = evaluate_molecules(ions, model)
    for batch in (report.molecules, report.relaxed):
        assert batch.charge.tolist() == [1, -1, 0]
        assert batch.spin.tolist() == [1, 1, 3]
    assert report.converged.all()
    assert report.smiles == ["[NH4+]", "O=C[O-]", "O=O"]
    assert report.valid.tolist() == [True, True, False]
    assert report.connectivity_preserved.all()
    neutral = ions.charged(torch.zeros_like(ions.charge))
    others = load_energy(model).evaluate(neutral).energy.numpy()
    assert (np.abs(others - report.energy)[:2] > 1).all()  # eV: those of the ions, not of radicals


def test_evaluate_molecules_takes_the_spin_state_of_the_batch(ions):
    triplet, singlet = ions[2], ions[2].charged([0])
    report = evaluate_molecules(MoleculeBatch.cat([triplet, singlet]), "gfn2")
    assert report.energy[0] != pytest.approx(report.energy[1], abs=0.01)
    assert report.chemistry.reasons == ["2 unpaired electrons", ""]


@pytest.mark.parametrize("suffix", ["extxyz", "sdf"])
def test_write_molecules_keeps_charge_and_spin(ions, tmp_path, suffix):
    write_molecules(evaluate_molecules(ions), tmp_path)
    back = read_molecules(tmp_path / f"molecules.{suffix}")
    assert back.charge.tolist() == [1, -1, 0]
    assert back.spin.tolist() == [1, 1, 3]


def test_summary_compares_no_energies_of_different_charges():
    hydroxide = MoleculeBatch.from_rdkit(from_smiles("[OH-]", 0))
    radical = MoleculeBatch.from_ase(molecule("OH"))
    report = evaluate_molecules(MoleculeBatch.cat([hydroxide, radical]))
    assert report.valid.tolist() == [True, False]
    assert not report.same_composition
    assert report.summary()["lowest_energy"] is None
