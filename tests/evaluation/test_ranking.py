import numpy as np
import pytest
from scipy.stats import spearmanr

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import load_energy
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.known import nearest_known, read_known, read_structures
from molrl.evaluation.ranking import energy_above_best, rank_correlation
from molrl.files import write_extxyz
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def report():
    """Three isomers, another formula alone, and an ion."""
    shipped = shipped_molecules()
    isomers = shipped.isomers("C3H8O").molecules
    water = shipped.isomers("H2O").molecules
    ion = MoleculeBatch.from_arrays([([8, 1], [[0, 0, 0], [0, 0, 0.96]])]).charged([-1])
    parts = [isomers[[2, 0, 1]], water, ion.to(dtype=isomers.positions.dtype)]
    return evaluate_molecules(MoleculeBatch.cat(parts))


def test_energy_above_best_compares_isomers_only(report):
    isomers = shipped_molecules().isomers("C3H8O")
    expected = [*(isomers.energy[[2, 0, 1]] - isomers.energy[0]).tolist(), 0, 0]
    np.testing.assert_allclose(energy_above_best(report), expected, atol=2e-3)


def test_energy_above_best_knows_the_shipped_isomers(report):
    shipped = shipped_molecules().isomers("C3H8O")
    worst = evaluate_molecules(shipped.molecules[2])
    gap = float(shipped.energy[2] - shipped.energy[0])
    assert energy_above_best(worst) == pytest.approx([gap], abs=2e-3)


def test_rank_correlation_is_spearmans_of_the_isomers(report):
    model = load_energy("mace")
    neutral = evaluate_molecules(report.molecules[:4])
    energies = model.evaluate(neutral.relaxed[:3]).energy.numpy()
    expected = spearmanr(neutral.relaxed_energy[:3], energies).statistic
    assert rank_correlation(neutral, model) == pytest.approx(expected)


def test_rank_correlation_of_fewer_than_three_isomers_is_none(report):
    model = load_energy("mace")
    assert rank_correlation(evaluate_molecules(report.molecules[1:4]), model) is None


def test_read_known_reads_files_and_molecule_sets(tmp_path, report):
    write_extxyz(tmp_path / "known.extxyz", report.molecules[:4])
    assert read_known(tmp_path / "known.extxyz") == {"CCCO", "CC(C)O", "CCOC", "O"}
    shipped = shipped_molecules()[:20]
    shipped.save(tmp_path / "set.npz")
    assert read_known(tmp_path / "set.npz") == set(shipped.identities)
    assert len(read_structures(tmp_path / "set.npz")) == 20
    assert len(read_structures(tmp_path / "known.extxyz")) == 4


def test_report_names_novel_and_distinct_molecules(report):
    twice = evaluate_molecules(report.molecules[[0, 0, 3]])
    assert twice.distinct == [0, 2]
    assert twice.novel({"O"}).tolist() == [True, True, False]
    assert twice.changes == ["same"] * 3
    near = nearest_known(twice, report.molecules[[1, 3]])
    assert near.smiles == ["CC(C)O", "CC(C)O", "O"]
    assert near.similarity[2] == pytest.approx(1.0, abs=1e-3)
    assert 0.3 < near.similarity[0] < 0.95
