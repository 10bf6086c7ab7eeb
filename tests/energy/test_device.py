"""Energies, forces and descriptors do not depend on the device."""

import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.energy import load_energy
from molrl.molecules import MoleculeBatch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
NAMES = ["CH3OH", "H2O", "CH4", "HCN", "NH3", "CH3CONH2", "C6H6", "CO2", "CH3CH2OH"]


def test_network_energy_agrees_on_cpu_and_gpu():
    rng = np.random.default_rng(0)
    images = [molecule(name) for name in NAMES * 20]
    for image in images:
        image.positions += rng.normal(0, 0.1, image.positions.shape)
    batch = MoleculeBatch.from_ase(images)
    cpu, gpu = (
        load_energy("mace", device).evaluate(batch, forces=True, descriptors=True)
        for device in ("cpu", "cuda")
    )
    assert gpu.energy.device.type == "cuda"
    assert (gpu.energy.cpu() - cpu.energy).abs().max() < 1e-4
    assert (gpu.forces.cpu() - cpu.forces).abs().max() < 1e-3
    assert torch.allclose(gpu.descriptors.cpu(), cpu.descriptors, atol=1e-3, rtol=1e-3)
