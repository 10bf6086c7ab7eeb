import numpy as np
import pytest
import torch
from ase.build import molecule

import molrl
from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy import load_energy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.rewards.similarity import SimilarityReward
from molrl.testing import check_reward_term


@pytest.fixture(scope="module")
def alcohols(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference") / "alcohols.extxyz"
    known = shipped_molecules()
    chosen = [known.identities.index(smiles) for smiles in ("CO", "CCO", "CCCO")]
    molrl.write(path, known[chosen].molecules)
    return path, known


def term(path, **options):
    return SimilarityReward(
        load_energy("gfn2"), reference=str(path), descriptors="mace-small", **options
    )


def test_similarity_is_1_for_the_reference_and_less_for_other_molecules(alcohols):
    path, known = alcohols
    reward = term(path)
    own = reward.similarity(known[[known.identities.index("CCO")]].molecules)
    others = [known.identities.index(smiles) for smiles in ("CC(C)O", "C#CC#N")]
    near, far = reward.similarity(known[others].molecules)
    assert own[0] == pytest.approx(1.0, abs=1e-3)
    assert 1 > near > far + 0.2


def test_similarity_does_not_change_when_a_molecule_turns(alcohols):
    path, known = alcohols
    one = known[[known.identities.index("CC(C)O")]].molecules
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    turned = one.positions @ torch.from_numpy(turn).float()
    moved = MoleculeBatch(one.numbers, turned, one.n_atoms)
    reward = term(path)
    assert reward.similarity(moved) == pytest.approx(reward.similarity(one), abs=1e-4)


def test_similarity_passes_the_checks_of_reward_terms():
    check_reward_term("similarity")


def test_similarity_refuses_what_is_no_option(alcohols):
    with pytest.raises(InputError, match="sharpness"):
        term(alcohols[0], sharpness=0)
    with pytest.raises(InputError, match="novelty"):
        term(alcohols[0], of="distance")


def test_similarity_refuses_references_of_unknown_elements(tmp_path):
    molrl.write(tmp_path / "phosphine.extxyz", MoleculeBatch.from_ase(molecule("PH3")))
    with pytest.raises(InputError, match="P"):
        term(tmp_path / "phosphine.extxyz")
