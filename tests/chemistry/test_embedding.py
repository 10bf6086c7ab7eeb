import numpy as np
import pytest
from rdkit import Chem

from molrl.chemistry.embedding import embed, from_smiles
from molrl.errors import InputError


def test_from_smiles_refuses_an_invalid_smiles(capfd):
    with pytest.raises(InputError, match=r"invalid SMILES 'C\('"):
        from_smiles("C(", seed=0)
    assert not capfd.readouterr().err  # RDKit prints four lines of its own


@pytest.mark.parametrize("smiles", ["", "O.O"])
def test_from_smiles_refuses_what_is_not_one_molecule(smiles):
    with pytest.raises(InputError, match=r"invalid SMILES ''|'O\.O' is of several molecules"):
        from_smiles(smiles, seed=0)


def test_from_smiles_gives_hydrogens_and_one_conformer():
    ammonium = from_smiles("[NH4+]", seed=0)
    assert ammonium.GetNumAtoms() == 5
    assert Chem.GetFormalCharge(ammonium) == 1
    (conformer,) = ammonium.GetConformers()
    lengths = np.linalg.norm(conformer.GetPositions()[1:] - conformer.GetPositions()[0], axis=1)
    assert lengths == pytest.approx(1.03, abs=0.03)


def test_embed_depends_on_the_seed():
    first, same, other = (
        embed(Chem.MolFromSmiles("CCCCO"), seed).GetConformer().GetPositions() for seed in (0, 0, 2)
    )
    assert np.allclose(first, same)
    assert not np.allclose(first, other)


def test_embed_of_an_impossible_molecule_is_none():
    assert embed(Chem.MolFromSmiles("C1#CC1"), seed=0) is None
