import pytest
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem import AllChem

from molrl.chemistry.geometry import rmsd
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import load_energy
from molrl.energy.relaxation import relax
from molrl.errors import InputError
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.evaluation.reference import (
    Reference,
    best_known,
    best_known_energy,
    find_best_known,
    reference_return,
)
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def gfn2():
    return load_energy("gfn2")


def binding(name, model):
    """Return the energy of the isolated atoms minus that of the relaxed molecule, eV."""
    batch = MoleculeBatch.from_ase(molecule(name))
    atoms = model.atom_energies()
    return sum(atoms[z] for z in batch.numbers.tolist()) - float(relax(batch, model).energy[0])


@pytest.mark.parametrize(
    ("bag", "name", "smiles"),
    [("CH4O", "CH3OH", "CO"), ("C2H6O", "CH3CH2OH", "CCO"), ("H2O", "H2O", "O")],
)
def test_best_known_finds_the_molecule_of_small_bags(gfn2, bag, name, smiles):
    best = best_known(bag, gfn2)
    assert best.smiles == smiles
    conformer = binding(name, gfn2)  # maybe not the best one of them
    assert conformer - 0.005 < best.value < conformer + 0.1
    assert best.value == pytest.approx(reference_return(bag, gfn2), abs=1e-3)
    assert best.molecule.bags()[0].formula == bag
    assert float(gfn2.evaluate(best.molecule).energy[0]) == pytest.approx(best.energy, abs=1e-4)


def test_best_known_is_the_lowest_of_all_isomers(gfn2):
    best = best_known("C3H8O", gfn2)
    assert best.n_isomers == 3
    assert best.value >= max(binding(name, gfn2) for name in ("C2H6CHOH", "CH3CH2OCH3")) - 0.005


def test_best_known_is_deterministic(gfn2):
    first, second = best_known("C2H6O", gfn2), best_known("C2H6O", gfn2)
    assert first.smiles == second.smiles
    assert first.value == pytest.approx(second.value, abs=1e-3)
    assert rmsd(first.molecule, second.molecule) < 0.05


def test_best_known_shows_a_search_that_takes_long(gfn2, monkeypatch, capsys):
    monkeypatch.setattr("molrl.evaluation.reference.SILENT_SECONDS", 1e3)
    best = best_known("CH4O", gfn2)
    assert best.seconds > 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("molrl.evaluation.reference.SILENT_SECONDS", 0.0)
    monkeypatch.setattr("molrl.runs.progress.SECONDS_BETWEEN_LINES", 0.0)
    best_known("CH4O", gfn2)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("isomers found: 1/400, ") for line in lines)
    assert any(line.startswith("isomers relaxed: 1/1, ") for line in lines)
    assert lines[-1].startswith("molrl: best known isomer of CH4O: CO, the lowest of 1, found in ")
    monkeypatch.setenv("RANK", "1")
    best_known("CH4O", gfn2)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("bag", ["CH3", "H7O", "He2"])
def test_best_known_refuses_a_bag_without_a_molecule(gfn2, bag):
    with pytest.raises(InputError):
        best_known(bag, gfn2)


def test_find_best_known_is_none_where_no_isomer_is_found(gfn2, capsys):
    assert find_best_known("SiH4", gfn2) is None
    assert capsys.readouterr().err == (
        "molrl: isomers with Si are not enumerated, as H4Si; there is no return fraction\n"
    )
    assert find_best_known({"kind": "bags", "bags": ["H2O", "CH4"]}, gfn2) is None
    assert find_best_known("H2O", gfn2).smiles == "O"
    with pytest.raises(InputError, match="no neutral closed-shell molecule can be made of"):
        find_best_known("CH3", gfn2)


def evaluated(*atoms):
    return evaluate_molecules(MoleculeBatch.from_ase(atoms))


def as_reference(atoms):
    """Return a reference of another energy model, of which only the geometry counts."""
    return Reference(0.0, MoleculeBatch.from_ase(atoms), 0.0, "", 1)


def test_best_known_energy_is_that_of_the_lowest_shipped_isomer():
    best = best_known_energy(evaluated(molecule("CH3CH2OCH3")))
    relaxed = evaluated(molecule("C2H6CHOH")).relaxed_energy[0]
    assert best.smiles == "CC(C)O"
    assert relaxed - 0.1 < best.energy < relaxed + 0.005


def unshipped(smiles):
    """Return a molecule whose formula no shipped molecule has."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    batch = MoleculeBatch.from_rdkit(mol)
    assert not len(shipped_molecules().isomers(batch.bags()[0]))
    return batch.to_ase()[0]


def test_best_known_energy_is_that_of_a_lower_reference():
    ether, silanol = unshipped("COC[SiH3]"), unshipped("CC[SiH2]O")
    sample, relaxed = evaluated(ether), evaluated(silanol).relaxed_energy[0]
    best = best_known_energy(sample, as_reference(silanol))
    assert best.smiles == "CC[SiH2]O"
    assert best.energy == pytest.approx(relaxed, abs=1e-3)
    assert best.energy < sample.relaxed_energy[0] - 0.5


def test_best_known_energy_is_that_of_a_lower_sample():
    ether, silanol = unshipped("COC[SiH3]"), unshipped("CC[SiH2]O")
    sample = evaluated(silanol)
    best = best_known_energy(sample, as_reference(ether))
    assert best.smiles == "CC[SiH2]O"
    assert best.energy == sample.relaxed_energy[0]


def test_best_known_energy_is_none_if_only_the_sample_is_known():
    assert best_known_energy(evaluated(unshipped("COC[SiH3]"))) is None


def test_best_known_energy_is_none_for_several_formulas():
    assert best_known_energy(evaluated(molecule("CH4"), molecule("H2O"))) is None


def test_best_known_energy_is_none_for_ions():
    formic_acid = molecule("HCOOH")
    formic_acid.info["charge"] = 1
    assert best_known_energy(evaluated(formic_acid), as_reference(molecule("HCOOH"))) is None
