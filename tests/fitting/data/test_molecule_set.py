import pytest
import torch

from molrl.chemistry.bonds import validity
from molrl.chemistry.identity import canonical_smiles, parse
from molrl.chemistry.molecule_set import SPLITS, split_of
from molrl.energy import load_energy
from molrl.fitting.data.config import MoleculeSetConfig
from molrl.fitting.data.molecule_set import make_molecule_set


@pytest.fixture(scope="module")
def config():
    return MoleculeSetConfig(
        output="unused.npz", seed=3, n=16, max_heavy=5, bags=("C2H6O", "C3H8O"), isomers=2
    )


@pytest.fixture(scope="module")
def reports():
    return []


@pytest.fixture(scope="module")
def made(config, reports):
    return make_molecule_set(config, lambda what, done, total: reports.append((done, total)))


def test_make_molecule_set_keeps_or_counts_all(made, config, reports):
    molecules, lost = made
    assert len(molecules) + lost.total() == reports[-1][0] == reports[-1][1]
    assert len(molecules) >= config.n
    extra = {canonical_smiles(parse(smiles)) for smiles in config.extra}
    assert {*extra, "CCO", "COC"} <= set(molecules.identities)
    assert len(molecules.isomers("C3H8O")) == config.isomers


def test_make_molecule_set_gives_minima_of_the_named_molecules(made, config):
    molecules, _ = made
    output = load_energy("gfn2").evaluate(molecules.molecules, forces=True)
    assert torch.allclose(output.energy, molecules.energy, atol=1e-6)
    assert output.forces.norm(dim=-1).max() < config.force_tolerance * 1.05
    assert tuple(validity(molecules.molecules).smiles) == molecules.identities
    assert [SPLITS[i] for i in molecules.split] == [split_of(s) for s in molecules.identities]


def test_make_molecule_set_repeats_with_its_config(made, config):
    again, _ = make_molecule_set(config, lambda what, done, total: None)
    assert again.identities == made[0].identities
    assert torch.allclose(again.molecules.positions, made[0].molecules.positions, atol=1e-4)
