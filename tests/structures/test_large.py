import numpy as np
import pytest
from rdkit import Chem

from molrl.chemistry.identity import canonical_smiles
from molrl.structures.large import draw_large
from molrl.structures.species import reserved_identities


@pytest.fixture(scope="module")
def drawn(shipped):
    rng = np.random.default_rng(0)
    names = sorted(name for name in shipped if name)
    return [draw_large(names, [6, 7, 8, 9, 16], rng) for _ in range(300)]


def test_draw_large_keeps_to_the_sizes_and_elements(drawn):
    made = [name for name in drawn if name is not None]
    assert len(made) > 200
    mols = [Chem.MolFromSmiles(name) for name in made]
    heavy = np.array([mol.GetNumAtoms() for mol in mols])
    assert 10 <= heavy.min() <= heavy.max() <= 40
    assert 14 <= np.median(heavy) <= 18
    for name, mol in zip(made, mols, strict=True):
        assert canonical_smiles(mol) == name
        assert "." not in name
        assert {atom.GetAtomicNum() for atom in mol.GetAtoms()} <= {6, 7, 8, 9, 16}
        assert Chem.GetFormalCharge(mol) == 0
        assert not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())


def test_draw_large_gives_all_sorts(drawn):
    made = [Chem.MolFromSmiles(name) for name in drawn if name is not None]
    for smarts in ("NCC(=O)NCC(=O)O", "a-S(=O)(=O)N", "C(F)(F)F", "C(=O)N-a", "a-a"):
        group = Chem.MolFromSmarts(smarts)
        assert any(mol.HasSubstructMatch(group) for mol in made), smarts


def test_draw_large_keeps_to_the_elements_asked_for(shipped):
    rng = np.random.default_rng(0)
    made = {
        draw_large(["CCCCCO", "CCCC(N)=O", "CCCCCCCC", "OCCCCS"], [6, 8], rng) for _ in range(100)
    } - {None}
    assert made
    assert all(set(name) <= set("COco=#()123456789") for name in made)


def test_reserved_identities_are_those_of_molecules():
    names = reserved_identities()
    assert {"CC(N)=O", "NN", "C=CC=C"} <= names
    assert all(canonical_smiles(Chem.MolFromSmiles(name)) == name for name in names)
