import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem.rdMolDescriptors import CalcMolFormula

from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.enumeration import NoIsomer, isomers, random_molecules
from molrl.chemistry.identity import canonical_smiles
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def molecules():
    return random_molecules(150, seed=3)


def test_random_molecules_are_distinct_neutral_closed_shell_and_connected(molecules):
    names = [canonical_smiles(mol) for mol in molecules]
    assert len(set(names)) == 150
    for mol in molecules:
        assert Chem.GetFormalCharge(mol) == 0
        assert sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) == 0
        assert sum(atom.GetAtomicNum() for atom in mol.GetAtoms()) % 2 == 0
        assert len(Chem.GetMolFrags(mol)) == 1
        assert {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"H", "C", "N", "O"}


def test_random_molecules_have_positions_of_all_atoms(molecules):
    for mol in molecules:
        assert mol.GetNumConformers() == 1
        positions = mol.GetConformer().GetPositions()
        assert positions.shape == (mol.GetNumAtoms(), 3)
        assert sum(atom.GetTotalNumHs() for atom in mol.GetAtoms()) == 0
        gaps = np.linalg.norm(positions[:, None] - positions, axis=-1)
        assert gaps[np.triu_indices(len(gaps), 1)].min() > 0.7


def test_random_molecules_depend_on_the_seed():
    a, b = random_molecules(40, seed=1), random_molecules(40, seed=1)
    other = random_molecules(40, seed=2)
    assert [canonical_smiles(m) for m in a] == [canonical_smiles(m) for m in b]
    for x, y in zip(a, b, strict=True):
        positions = [mol.GetConformer().GetPositions() for mol in (x, y)]
        np.testing.assert_allclose(*positions, rtol=0, atol=1e-6)
    assert {canonical_smiles(m) for m in a} != {canonical_smiles(m) for m in other}


def test_random_molecules_include_all_small_ones():
    small = {canonical_smiles(m) for m in random_molecules(200, seed=0)}
    wanted = ["C", "N", "O", "C#N", "CO", "C=O", "NC=O", "O=C=O", "C=C", "C#C", "CC", "N#N", "OO"]
    wanted += ["OC=O", "CCO", "COC", "CC=O", "N=C=O", "C=C=O", "NN", "CN", "CC#N", "C1CO1"]
    assert {canonical_smiles(Chem.MolFromSmiles(s)) for s in wanted} <= small


def test_random_molecules_have_no_unstable_patterns():
    names = [canonical_smiles(m) for m in random_molecules(300, seed=4, max_heavy=4)]
    mols = [Chem.MolFromSmiles(name) for name in names]
    for pattern in ("[#8]~[#8]~[#8]", "[*;r]#[*;r]", "O=O", "*=*=*=*", "[a;r3,r4]"):
        query = Chem.MolFromSmarts(pattern)
        assert not any(mol.HasSubstructMatch(query) for mol in mols), pattern


def test_random_molecules_vary_in_size_and_rings(molecules):
    sizes = {mol.GetNumHeavyAtoms() for mol in molecules}
    assert sizes >= set(range(1, 10))
    rings = {len(r) for mol in molecules for r in mol.GetRingInfo().AtomRings()}
    assert rings >= {3, 4, 5, 6}


def test_random_molecules_have_the_elements_asked_for():
    symbols = {
        atom.GetSymbol()
        for mol in random_molecules(80, seed=0, elements=("C", "F", "S"), complete_heavy=2)
        for atom in mol.GetAtoms()
    }
    assert symbols == {"H", "C", "F", "S"}
    with pytest.raises(InputError, match="Xe"):
        random_molecules(3, seed=0, elements=("C", "Xe"))


def test_random_molecules_refuses_more_than_there_are():
    with pytest.raises(InputError, match="were found"):
        random_molecules(50, seed=0, elements=("C",), max_heavy=3)


def test_random_molecules_are_only_wanted_ones():
    mols = random_molecules(30, seed=0, wanted=lambda smiles: "O" in smiles or "o" in smiles)
    assert len(mols) == 30
    assert all("O" in CalcMolFormula(mol) for mol in mols)


@pytest.mark.parametrize(
    ("formula", "smiles"),
    [
        ("CH4O", {"CO"}),
        ("C2H6O", {"CCO", "COC"}),
        ("C3H8O", {"CCCO", "CC(C)O", "CCOC"}),
        ("H2O", {"O"}),
        ("H2", {"[H][H]"}),
        ("CO", {"[C-]#[O+]"}),
        ("CHN", {"C#N"}),
    ],
)
def test_isomers_of_small_bags_are_complete(formula, smiles):
    assert {canonical_smiles(mol) for mol in isomers(formula, 10, seed=0)} == smiles


def test_isomers_include_formamide():
    found = {canonical_smiles(mol) for mol in isomers("CH3NO", 10, seed=0)}
    assert "NC=O" in found
    assert len(found) >= 3


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["C3H5NO3", "C4H7N", "C7H10O2", "C5H9NO", "C7H8N2O2"]), st.integers(0, 999))
def test_isomers_use_all_atoms_and_are_distinct(formula, seed):
    mols = isomers(formula, 5, seed)
    assert len({canonical_smiles(mol) for mol in mols}) == 5
    for mol in mols:
        assert Bag(atom.GetAtomicNum() for atom in mol.GetAtoms()) == Bag(formula)
        assert sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) == 0


@pytest.mark.parametrize("formula", ["CH5", "CH6", "C2H", "Ar2", "H4", "H", "NaCl"])
def test_isomers_refuses_a_bag_without_a_molecule(formula):
    with pytest.raises(InputError, match=Bag(formula).formula):
        isomers(formula, 3, seed=0)


@pytest.mark.parametrize("formula", ["CH3Cl", "SiH4", "SF6", "H3PO4"])
def test_isomers_names_elements_that_are_not_enumerated(formula):
    with pytest.raises(NoIsomer, match=Bag(formula).formula):
        isomers(formula, 3, seed=0)


def test_random_molecules_are_recognised_by_bond_perception(molecules):
    found = validity(MoleculeBatch.from_rdkit(molecules))
    same = [a == canonical_smiles(m) for a, m in zip(found.smiles, molecules, strict=True)]
    assert np.mean(same) > 0.9


def test_random_molecules_have_groups_as_bond_perception_draws_them():
    found = random_molecules(400, seed=1, elements=("C", "N", "O", "S"), complete_heavy=2)
    for smarts in ("[N+](=O)[O-]", "S(=O)=O", "[S+][O-]"):
        group = Chem.MolFromSmarts(smarts)
        mols = [mol for mol in found if mol.HasSubstructMatch(group)]
        assert len(mols) >= 3, smarts
        perceived = validity(MoleculeBatch.from_rdkit(mols)).smiles
        same = [a == canonical_smiles(b) for a, b in zip(perceived, mols, strict=True)]
        assert np.mean(same) >= 0.8, smarts


def test_isomers_include_sulfonyl_groups():
    names = {canonical_smiles(mol) for mol in isomers("C2H6O2S", 60, seed=0)}
    assert canonical_smiles(Chem.MolFromSmiles("CS(C)(=O)=O")) in names
