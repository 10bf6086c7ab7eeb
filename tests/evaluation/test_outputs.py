import numpy as np
import pytest
from ase.build import molecule
from ase.io import read
from PIL import Image
from rdkit import Chem

from molrl.evaluation.judge import judge
from molrl.evaluation.outputs import draw_best, write_molecules
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch

NAMES = ["CH3NO2", "C6H6", "CH3", "CO", "CH3CH2OH", "HCN", "C2H2"]


def fresh():
    return judge(MoleculeBatch.from_ase([molecule(name) for name in NAMES]))


@pytest.fixture(scope="module")
def verdict():
    return fresh()


@pytest.mark.parametrize("suffix", ["extxyz", "sdf"])
def test_files_read_back_as_what_was_judged(verdict, tmp_path, suffix):
    write_molecules(verdict, tmp_path)
    back = read_molecules(tmp_path / f"molecules.{suffix}")
    assert (back.numbers == verdict.molecules.numbers).all()
    assert (back.positions - verdict.molecules.positions).abs().max() < 1e-4


def test_identical_runs_write_identical_files(verdict, tmp_path):
    write_molecules(verdict, tmp_path / "first")
    write_molecules(fresh(), tmp_path / "second")
    for name in ("molecules.extxyz", "molecules.sdf"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_both_files_carry_the_figures(verdict, tmp_path):
    write_molecules(verdict, tmp_path)
    images = read(tmp_path / "molecules.extxyz", index=":")
    mols = list(Chem.SDMolSupplier(str(tmp_path / "molecules.sdf"), removeHs=False))
    for i, (image, mol) in enumerate(zip(images, mols, strict=True)):
        assert image.info["smiles"] == mol.GetProp("smiles") == (verdict.smiles[i] or "-")
        assert image.info["valid"] == verdict.valid[i]
        assert mol.GetProp("valid") == str(verdict.valid[i])
        assert image.info["judge_energy"] == pytest.approx(verdict.energy[i], abs=1e-4)
        assert float(mol.GetProp("energy_above_relaxed")) == pytest.approx(
            verdict.energy_above_relaxed[i], abs=1e-4
        )


def test_the_sdf_has_the_bonds_that_were_perceived(verdict, tmp_path):
    write_molecules(verdict, tmp_path)
    for i, mol in enumerate(Chem.SDMolSupplier(str(tmp_path / "molecules.sdf"))):
        if verdict.valid[i]:
            assert Chem.MolToSmiles(mol, isomericSmiles=False) == verdict.smiles[i]


@pytest.mark.parametrize("chosen", [range(7), [2], [4, 4, 4]])
def test_the_picture_of_the_best_is_a_png_of_sane_size(tmp_path, chosen):
    verdict = judge(MoleculeBatch.from_ase([molecule(NAMES[i]) for i in chosen]))
    draw_best(verdict, tmp_path / "molecules.png")
    with Image.open(tmp_path / "molecules.png") as image:
        assert image.format == "PNG"
        width, height = image.size
        assert 300 < width < 3000
        assert 200 < height < 3000
        drawn = (np.asarray(image.convert("RGB")) != 255).any(-1).mean()
        assert 0.001 < drawn < 0.5
