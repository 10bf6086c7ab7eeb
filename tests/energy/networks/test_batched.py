"""Batches that exceed the memory of the device are halved, with the same results."""

import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.energy.networks.batched import OUT_OF_MEMORY
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.potential import Potential, save_potential
from molrl.molecules import MoleculeBatch

NAMES = ["CH3OH", "H2O", "CH4", "HCN", "NH3", "C6H6", "CO2", "CH3CH2OH"]


@pytest.fixture
def model(tmp_path):
    """A small MACE with random weights."""
    torch.manual_seed(0)
    potential = Potential(Mace(MaceConfig(channels=8)), (-1.0, -2.0, -3.0, -4.0, -5.0, -6.0))
    save_potential(tmp_path / "mace.json", potential)
    return NetworkEnergy(tmp_path / "mace.json")


@pytest.fixture
def batch():
    empty = MoleculeBatch.from_arrays([(np.array([], int), np.zeros((0, 3)))])
    return MoleculeBatch.cat([MoleculeBatch.from_ase([molecule(name) for name in NAMES]), empty])


def allow(model, n_atoms):
    """Let the network run out of memory for more atoms than this."""

    def allocate(_, inputs):
        if len(inputs[0].positions) > n_atoms:
            raise torch.OutOfMemoryError(f"tried to allocate {len(inputs[0].positions)} atoms")

    model._evaluated.network.register_forward_pre_hook(allocate)


def test_batched_energy_halves_a_batch_out_of_memory_with_the_same_results(model, batch):
    whole = model.evaluate(batch, forces=True, descriptors=True)
    allow(model, 12)
    halved = model.evaluate(batch, forces=True, descriptors=True)
    for name in ("energy", "forces", "descriptors"):
        assert torch.allclose(getattr(halved, name), getattr(whole, name), atol=1e-5), name
    assert not halved.failures
    assert halved.faults[OUT_OF_MEMORY] >= 3
    again = model.evaluate(batch)  # the size of chunks is remembered
    assert again.faults[OUT_OF_MEMORY] < halved.faults[OUT_OF_MEMORY]


def test_batched_energy_fails_only_the_molecule_too_large_for_memory(model, batch):
    whole = model.evaluate(batch, forces=True, descriptors=True)
    allow(model, 10)
    out = model.evaluate(batch, forces=True, descriptors=True)
    benzene = NAMES.index("C6H6")
    assert list(out.failures) == [benzene]
    others = [i for i in range(len(batch)) if i != benzene]
    assert torch.allclose(out.energy[others], whole.energy[others], atol=1e-5)
    mine = batch.molecule == benzene
    for name in ("forces", "descriptors"):
        assert getattr(out, name)[mine].isnan().all()
        assert torch.allclose(getattr(out, name)[~mine], getattr(whole, name)[~mine], atol=1e-5)
