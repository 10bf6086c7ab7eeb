from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read
from PIL import Image
from rdkit import Chem

from molrl.chemistry.embedding import from_smiles
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.molecule_files import write_annotated
from molrl.evaluation.outputs import best_of, draw_best, write_molecules
from molrl.evaluation.reference import BestKnown, best_known_energy
from molrl.files import read_molecules
from molrl.molecules import MoleculeBatch

NAMES = ["CH3NO2", "C6H6", "CH3", "CO", "CH3CH2OH", "HCN", "C2H2"]


def fresh():
    return evaluate_molecules(MoleculeBatch.from_ase([molecule(name) for name in NAMES]))


@pytest.fixture(scope="module")
def report():
    return fresh()


@pytest.mark.parametrize("suffix", ["extxyz", "sdf"])
def test_write_molecules_files_read_back_unchanged(report, tmp_path, suffix):
    write_molecules(report, tmp_path)
    back = read_molecules(tmp_path / f"molecules.{suffix}")
    assert (back.numbers == report.molecules.numbers).all()
    assert (back.positions - report.molecules.positions).abs().max() < 1e-4


def test_write_molecules_is_deterministic(report, tmp_path):
    for folder in ("first", "second"):
        write_molecules(report, tmp_path / folder)
    for name in ("molecules.extxyz", "molecules.sdf"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_write_molecules_writes_the_same_figures_for_identical_runs(report, tmp_path):
    write_molecules(report, tmp_path / "first")
    write_molecules(fresh(), tmp_path / "second")
    first, second = (
        read(tmp_path / folder / "molecules.extxyz", ":") for folder in ("first", "second")
    )
    for one, other in zip(first, second, strict=True):
        assert one.positions == pytest.approx(other.positions)
        assert one.info.keys() == other.info.keys()
        for key, value in one.info.items():
            text = isinstance(value, str)
            same = value if text else pytest.approx(value, abs=2e-3, nan_ok=True)
            assert other.info[key] == same, key


def test_write_molecules_puts_the_figures_into_both_files(report, tmp_path):
    write_molecules(report, tmp_path)
    images = read(tmp_path / "molecules.extxyz", index=":")
    mols = list(Chem.SDMolSupplier(str(tmp_path / "molecules.sdf"), removeHs=False))
    for i, (image, mol) in enumerate(zip(images, mols, strict=True)):
        assert image.info["smiles"] == mol.GetProp("smiles") == (report.smiles[i] or "-")
        assert image.info["valid"] == report.valid[i]
        assert mol.GetProp("valid") == str(report.valid[i])
        assert image.info["reason"] == mol.GetProp("reason") == (report.reasons[i] or "-")
        assert image.get_potential_energy() == pytest.approx(report.energy[i], abs=1e-4)
        assert float(mol.GetProp("energy_eV")) == pytest.approx(report.energy[i], abs=1e-4)
        assert float(mol.GetProp("strain_eV")) == pytest.approx(report.strain[i], abs=1e-4)
        assert float(mol.GetProp("rmsd_angstrom")) == pytest.approx(report.rmsd[i], abs=1e-4)


def test_write_molecules_puts_perceived_bonds_into_the_sdf(report, tmp_path):
    write_molecules(report, tmp_path)
    for i, mol in enumerate(Chem.SDMolSupplier(str(tmp_path / "molecules.sdf"))):
        if report.valid[i]:
            assert Chem.MolToSmiles(mol, isomericSmiles=False) == report.smiles[i]


@pytest.mark.parametrize("chosen", [range(7), [2], [4, 4, 4]])
def test_draw_best_writes_a_png_of_reasonable_size(tmp_path, chosen):
    report = evaluate_molecules(MoleculeBatch.from_ase([molecule(NAMES[i]) for i in chosen]))
    draw_best(report, tmp_path / "molecules.png")
    with Image.open(tmp_path / "molecules.png") as image:
        assert image.format == "PNG"
        width, height = image.size
        assert 300 < width < 3000
        assert 200 < height < 3000
        drawn = (np.asarray(image.convert("RGB")) != 255).any(-1).mean()
        assert 0.001 < drawn < 0.5


ETHER, ISOPROPANOL = "CH3CH2OCH3", "C2H6CHOH"


def evaluated(*names):
    return evaluate_molecules(MoleculeBatch.from_ase([molecule(name) for name in names]))


def isomer_energies(gallery):
    """Return the energies in the captions, eV."""
    lines = [caption.split("\n")[1] for caption in gallery.captions]
    assert all(line.startswith("isomer ") and line.endswith(" eV") for line in lines)
    return [float(line.split()[1]) for line in lines]


def test_captions_give_energies_above_the_best_known_isomer():
    report = evaluated(ETHER)
    gallery = best_of(report, best_known_energy(report))
    above = isomer_energies(gallery)
    lowest = evaluated(ISOPROPANOL).relaxed_energy[0]
    assert above == pytest.approx([report.relaxed_energy[0] - lowest], abs=0.03)
    assert above[0] > 0.1
    assert gallery.title.endswith("\nisomers: energy above CC(C)O, the best known")


def test_captions_give_energies_above_a_best_known_isomer_far_below():
    report = evaluated(ETHER, ISOPROPANOL)
    best = BestKnown(float(report.relaxed_energy[1]) - 5, "CCC=O")
    above = isomer_energies(best_of(report, best))
    assert above[0] == pytest.approx(5, abs=0.01)
    assert above[1] > 5.1


def test_captions_name_the_lowest_of_the_sample_without_a_best_known_isomer():
    report = evaluated(ETHER, ISOPROPANOL)
    gallery = best_of(report)
    assert isomer_energies(gallery)[0] == 0
    assert gallery.title.endswith("\nisomers: energy above CC(C)O, the lowest of the sample")


def test_captions_give_energies_above_the_lowest_conformer_of_the_sample():
    """The conformer of lowest energy as generated may not be the one of lowest energy relaxed."""
    report = evaluated(ISOPROPANOL, ISOPROPANOL, ETHER)
    ether = report.relaxed_energy[2]
    report = replace(
        report,
        energy=ether + np.array([-1.0, -0.9, 0.1]),
        relaxed_energy=ether + np.array([-1.2, -1.3, 0]),
    )
    assert isomer_energies(best_of(report)) == [0.1, 1.3, 0.0]


def test_captions_compare_no_single_isomer():
    report = evaluated("CH3OH", "CH3OH")
    gallery = best_of(report, best_known_energy(report))
    assert gallery.title == "CH4O: 2 made, 2 valid, 1 distinct"
    assert all("isomer" not in caption for caption in gallery.captions)


def test_captions_compare_no_molecules_of_several_formulas(report):
    gallery = best_of(report, best_known_energy(report))
    assert "isomer" not in gallery.title
    assert all("isomer" not in caption for caption in gallery.captions)


def test_best_of_names_the_charge_of_ions():
    formate = MoleculeBatch.from_rdkit(from_smiles("O=C[O-]", 0))
    report = evaluate_molecules(MoleculeBatch.cat([formate, formate]))
    gallery = best_of(report, best_known_energy(report))
    assert gallery.title == "CHO2, charge -1: 2 made, 2 valid, 1 distinct"
    assert gallery.indices == [0, 1]


def test_write_annotated_keeps_records_apart_whatever_their_names(report, tmp_path):
    path = tmp_path / "named.sdf"
    names = ["$$$$", "-", "$$$$x", "a", "b", "c", "d"]
    write_annotated(path, report.molecules, {"name": names, "comment": names})
    back = read_molecules(path)
    assert (back.numbers == report.molecules.numbers).all()
    titles = [mol.GetProp("_Name").strip() for mol in Chem.SDMolSupplier(str(path), sanitize=False)]
    assert titles == ["$$$$", "", "$$$$x", "a", "b", "c", "d"]
