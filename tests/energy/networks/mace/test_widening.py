import pytest
import torch
from ase.build import molecule

from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.molecules import MoleculeBatch

ELEMENTS = (1, 6, 8)


@pytest.fixture
def graph():
    images = [molecule(name) for name in ("CH3OH", "H2O", "CO2")]
    return network(channels=8).graph(MoleculeBatch.from_ase(images), torch.float64)


def network(**shape):
    return Mace(MaceConfig(elements=ELEMENTS, radial_mlp=(8, 8), **shape)).double()


@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("channels", [8, 12, 32])
def test_widen_keeps_energies_and_features(graph, layers, channels):
    torch.manual_seed(0)
    narrow, wide = network(channels=8, layers=layers), network(channels=channels, layers=layers)
    wide.start_from(narrow)
    found, wider = narrow(graph), wide(graph)
    torch.testing.assert_close(wider.energy, found.energy)
    kept = wider.features.unflatten(-1, (layers, channels))[..., :8].flatten(-2)
    torch.testing.assert_close(kept, found.features)


def test_widen_keeps_charges(graph):
    torch.manual_seed(0)
    narrow, wide = (network(channels=n, charges=True) for n in (8, 16))
    torch.nn.init.normal_(narrow.charge_readout)  # as after a fit
    wide.start_from(narrow)
    found = narrow(graph).charges
    assert found.abs().max() > 0.01
    torch.testing.assert_close(wide(graph).charges, found)


def test_widen_lets_the_new_channels_learn(graph):
    torch.manual_seed(0)
    narrow, wide = network(channels=8), network(channels=12)
    wide.start_from(narrow)
    before = wide(graph).energy.sum()
    gradients = torch.autograd.grad(before, list(wide.parameters()))
    reading = dict(zip((name for name, _ in wide.named_parameters()), gradients, strict=True))
    for name in ("readout_in", "readouts.0", "layers.0.mix", "layers.1.up"):
        # The weights from new to old channels are 0, and no longer so after a step.
        assert reading[name][8:, :8].abs().min() > 0
