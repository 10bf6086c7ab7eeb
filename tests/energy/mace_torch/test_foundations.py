"""Foundation models by name: loaded from mace-torch's cache, or refused in one line."""

import os
import socket

import pytest
import torch

from molrl.energy import load_energy, registry
from molrl.energy.mace_torch.batching import build_mace_torch
from molrl.energy.networks.mace.network import MaceConfig
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.safe_e3nn import NO_WEIGHTS_ONLY


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The path of an empty mace-torch cache, without a network connection."""

    def refuse(*_, **__):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(registry, "_LOADED", {})  # the fake models must not stay loaded
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "mace"


NAMES = {
    "mace-mp": "mace-mp:medium-mpa-0",
    "mace-mp:small": "mace-mp:small",
    "mace-off:medium": "mace-off:medium",
    "mace-omol": "mace-omol:extra_large",
    "mace-anicc": "mace-anicc:large",
}


@pytest.mark.parametrize("name", NAMES)
def test_foundation_without_a_connection_says_where_to_put_the_file(cache, name):
    with pytest.raises(InputError) as refusal:
        load_energy(name, "cpu")
    line = str(refusal.value)
    assert line.startswith(f"{NAMES[name]} could not be downloaded (")
    assert "no network in this test" in line
    assert line.endswith("model")
    assert str(cache) in line


class ReadAtLoading:
    """An object that unpickles as the value of an environment variable at that moment."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        return os.getenv, (self.name,)


@pytest.mark.parametrize(
    "name", ["mace-mp:small-0b", "mace-off:large", "mace-omol:extra_large", "mace-anicc:large"]
)
def test_foundation_loads_a_file_put_into_the_cache(cache, name, capsys):
    with pytest.raises(InputError) as refusal:
        load_energy(name, "cpu")
    torch.manual_seed(0)
    config = MaceConfig(elements=(1, 6), channels=4)
    cache.mkdir(exist_ok=True)
    network = build_mace_torch(config, (-1, -2))
    network.safe_loading_was = ReadAtLoading(NO_WEIGHTS_ONLY)
    torch.save(network, str(refusal.value).rpartition("put its file at ")[2])
    model = load_energy(name, "cpu")
    assert model.name == name
    hydrogen = MoleculeBatch(torch.tensor([1]), torch.zeros(1, 3), torch.tensor([1]))
    assert model.evaluate(hydrogen).energy.item() == pytest.approx(-1, abs=1e-6)
    assert model.network.safe_loading_was is None
    assert capsys.readouterr().out == ""


def test_foundation_refuses_unknown_variants_with_a_suggestion():
    with pytest.raises(InputError, match=r"mace-off has no variant 'smal'; did you mean 'small'"):
        load_energy("mace-off:smal", "cpu")
    with pytest.raises(InputError, match="did you mean 'mace-mp'"):
        load_energy("mace-mpp", "cpu")
