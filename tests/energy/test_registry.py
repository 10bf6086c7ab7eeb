"""Energy models by name: one of each per process, loaded again when its files change."""

import shutil

import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.energy import EnergyModel, EnergyOutput, load_energy
from molrl.energy.mace_torch.batching import build_mace_torch
from molrl.energy.networks import NETWORKS
from molrl.energy.networks.energy import SHIPPED
from molrl.energy.networks.mace.network import Mace
from molrl.energy.networks.potential import load_potential, save_potential
from molrl.energy.relaxation import relax
from molrl.energy.uncertainty import uncertainty_file
from molrl.errors import InputError
from molrl.parts import ENERGY_MODELS, register


@pytest.fixture
def custom(tmp_path):
    """A custom weights file, with the weights of mace-small."""
    for path in (SHIPPED["mace-small"], SHIPPED["mace-small"].with_suffix(".safetensors")):
        shutil.copy(path, tmp_path / f"custom{path.suffix}")
    return tmp_path / "custom.json"


def test_load_energy_returns_the_same_model_for_the_same_name(custom):
    for name in ("mace", "gfn2", f"mace:{custom}"):
        assert load_energy(name) is load_energy(name)


def test_load_energy_reloads_weights_that_were_rewritten(custom):
    before = load_energy(f"mace:{custom}")
    potential, _ = load_potential(custom)
    tensors = dict(potential.network.named_parameters())
    save_potential(custom, potential, {name: 1.05 * tensor for name, tensor in tensors.items()})
    after = load_energy(f"mace:{custom}")
    assert after.hash != before.hash
    energies = [float(model.evaluate(molecule("CH4")).energy) for model in (before, after)]
    assert abs(energies[0] - energies[1]) > 0.01


def test_load_energy_reloads_when_an_uncertainty_is_added(custom):
    assert not load_energy(f"mace:{custom}").offers_uncertainty
    shipped = uncertainty_file(SHIPPED["mace-small"])
    shutil.copy(shipped, uncertainty_file(custom))
    shutil.copy(
        shipped.with_suffix(".safetensors"), uncertainty_file(custom).with_suffix(".safetensors")
    )
    assert load_energy(f"mace:{custom}").offers_uncertainty


def test_load_energy_reloads_a_name_that_is_registered_anew(monkeypatch):
    monkeypatch.setattr(ENERGY_MODELS, "_entries", dict(ENERGY_MODELS._entries))
    for value in (1.0, 2.0):

        class Constant(EnergyModel):
            name = hash = "constant"
            elements = (1,)
            of_atom = value

            def _evaluate(self, molecules, wanted):
                return EnergyOutput(self.of_atom * molecules.n_atoms.double())

        register("energy", "constant", Constant, replace=True)
        assert float(load_energy("constant").evaluate(molecule("H2")).energy) == 2 * value


def test_load_energy_needs_trust_again_for_a_pickle_that_was_trusted_once(tmp_path):
    path = tmp_path / "network.model"
    torch.save(build_mace_torch(load_energy("mace-small").potential.config), path)
    trusted = load_energy(f"mace:{path}", trust=True)
    with pytest.raises(InputError, match="is a pickle"):
        load_energy(f"mace:{path}")
    assert load_energy(f"mace:{path}", trust=True) is trusted


@pytest.mark.parametrize(
    "bad", ["H2O", ["H2O"], 3, None, np.array(1.0), torch.tensor(1.0)], ids=str
)
def test_evaluate_and_relax_refuse_input_that_is_not_molecules(bad):
    model = load_energy("mace-small")
    for call in (model.evaluate, lambda given: relax(given, model)):
        with pytest.raises(InputError, match="molecules must be ASE Atoms or a MoleculeBatch, not"):
            call(bad)


def test_relax_takes_ase_atoms_and_the_name_of_a_model():
    model = load_energy("mace-small")
    for given in (molecule("CH4"), [molecule("CH4"), molecule("H2O")]):
        result = relax(given, "mace-small")
        assert result.converged.all()
        energy = model.evaluate(given).energy
        torch.testing.assert_close(result.start_energy, energy, atol=1e-4, rtol=0)


def test_load_energy_leaves_the_global_random_state_unchanged(custom):
    before = torch.get_rng_state()
    load_energy(f"mace:{custom}")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def registered():
    """The name of a network that is registered as a plugin does, and of no shipped weights."""
    NETWORKS.register("pair", Mace)
    yield "pair"
    del NETWORKS._entries["pair"]  # or other tests would find it among the known names


@pytest.mark.parametrize("name", ["pair", "pair:", "pair:mace", "pair:mace-small", "pair:f.model"])
def test_load_energy_of_a_network_needs_its_file(registered, name):
    with pytest.raises(InputError, match=r"^pair: .*; name its file: pair:FILE\.json$"):
        load_energy(name)


def test_load_energy_of_a_network_refuses_a_file_of_another(registered, custom):
    with pytest.raises(InputError, match=rf"load it as mace:{custom}$"):
        load_energy(f"pair:{custom}")


def test_load_energy_refuses_a_name_longer_than_that_of_any_file():
    with pytest.raises(InputError):
        load_energy(f"mace:{'a' * 300}.json")


def test_load_energy_suggests_models_and_networks(registered):
    with pytest.raises(InputError, match="unknown energy model 'paix'; did you mean 'pair'"):
        load_energy("paix:f.json")
    with pytest.raises(InputError, match=r"known are: .*gfn2, .*\bpair, .*spgfn2"):
        load_energy("zzz")


def test_evaluate_refuses_forces_that_a_model_promises_and_does_not_return():
    class Forceless(EnergyModel):
        name = hash = "forceless"
        elements = (1,)

        def _evaluate(self, molecules, wanted):
            return EnergyOutput(torch.zeros(len(molecules), dtype=torch.float64))

    with pytest.raises(InputError, match="forceless returned no forces; it must compute what"):
        relax(molecule("H2"), Forceless())


@pytest.mark.parametrize("returned", [(3,), (2, 1), ()], ids=str)
def test_evaluate_refuses_energies_that_are_not_one_of_each_molecule(returned):
    class Misshapen(EnergyModel):
        name = hash = "misshapen"
        elements = (1,)

        def _evaluate(self, molecules, wanted):
            return EnergyOutput(torch.zeros(returned, dtype=torch.float64))

    with pytest.raises(InputError) as refused:
        Misshapen().evaluate([molecule("H2"), molecule("H2")])
    assert str(refused.value) == (
        f"the energy model misshapen returned energy of the shape {returned}; "
        "of these molecules it is (2,)"
    )
