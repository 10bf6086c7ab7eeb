"""Potentials: their files, pair repulsion, periodic cells and stress."""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.networks.interface import Prediction
from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.potential import Potential, load_potential, save_potential
from molrl.energy.networks.repulsion import repulsion_parameters
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.weights import load_weights, save_weights

ELEMENTS = (1, 6, 14, 17, 35)
FIRST_RELEASE = (
    "elements",
    "channels",
    "layers",
    "cutoff",
    "n_bessel",
    "envelope",
    "radial_mlp",
    "readout",
    "avg_neighbors",
    "scale",
)
ATOMS = (-1.0, -2.0, -3.0, -4.0, -5.0)


@pytest.fixture(scope="module")
def potential():
    """A small MACE with random weights and a pair repulsion that takes cells."""
    torch.manual_seed(0)
    network = Mace(MaceConfig(elements=ELEMENTS, channels=8, cutoff=4.0))
    return Potential(network, ATOMS, repulsion_parameters(ELEMENTS), takes_cells=True)


@pytest.fixture(scope="module")
def model(potential, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mine.json"
    save_potential(path, potential)
    return NetworkEnergy(path)


@pytest.fixture
def crystals():
    """Distorted crystals with cells smaller than the cutoff, and a molecule."""
    images = [bulk("C", "diamond", a=3.6), bulk("SiC", "zincblende", a=4.3), molecule("CH3Cl")]
    rng = np.random.default_rng(0)
    for image in images:
        image.positions += rng.normal(0, 0.1, image.positions.shape)
    return images


def test_save_potential_and_load_potential_round_trip(potential, tmp_path):
    save_potential(tmp_path / "mine.json", potential)
    again, digest = load_potential(tmp_path / "mine.json")
    assert again.config == potential.config
    assert again.header() == potential.header()
    for name, tensor in again.network.state_dict().items():
        assert torch.equal(tensor, potential.network.state_dict()[name])
    header = json.loads((tmp_path / "mine.json").read_text())
    assert (header["kind"], header["config"]["architecture"]) == ("network", "mace")
    assert header["header_sha256"] == digest


def test_save_potential_writes_an_average_under_every_name_of_a_parameter(tmp_path):
    network = Mace(MaceConfig(elements=(1, 8), channels=8))
    network.again = network.readout_in
    average = {name: p.detach() + 1 for name, p in network.named_parameters()}
    save_potential(tmp_path / "tied.json", Potential(network, (0.0, 0.0)), average)
    tensors, _ = load_weights(tmp_path / "tied.json", "network")
    for name in ("readout_in", "again"):
        assert torch.equal(tensors[name], network.readout_in + 1)


def test_load_potential_reads_weights_of_the_first_release(potential, tmp_path):
    """Its headers have the atoms and the repulsion in the config, and no architecture."""
    config = potential.config
    written = {name: getattr(config, name) for name in FIRST_RELEASE}
    repulsion = [list(row) for row in potential.repulsion]
    head = written | {"atomic_energies": ATOMS, "repulsion": repulsion}
    tensors = potential.network.state_dict()
    save_weights(tmp_path / "first.json", tensors, {"kind": "mace", "config": head})
    first, _ = load_potential(tmp_path / "first.json")
    assert first.config == config
    assert (first.atomic_energies, first.repulsion) == (ATOMS, potential.repulsion)
    assert not first.takes_cells
    assert not first.bond_limits
    for name, tensor in first.network.state_dict().items():
        assert torch.equal(tensor, tensors[name])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atomic_energies": [1.0]}, "need as many atomic energies"),
        ({"repulsion": [[1.0, 2.0]]}, "need as many atomic energies and rows of repulsion"),
        ({"repulsion": 3}, "does not describe a network"),
        ({"config": None}, "its config must be a mapping of keys, not None"),
        ({"config": [1, 2]}, r"its config must be a mapping of keys, not \[1, 2\]"),
        ({"config": {"architecture": "mac"}}, "did you mean 'mace'"),
        ({"config": {"architecture": "mace", "chanels": 3}}, "did you mean 'channels'"),
    ],
)
def test_load_potential_refuses_an_invalid_header(potential, tmp_path, change, message):
    path = tmp_path / "mine.json"
    save_weights(path, potential.network.state_dict(), potential.header() | change)
    with pytest.raises(InputError, match=message):
        load_potential(path)


@pytest.mark.parametrize("kind", ["network", "mace"])
def test_load_potential_refuses_a_header_without_a_config(potential, tmp_path, kind):
    path = tmp_path / "mine.json"
    save_weights(path, potential.network.state_dict(), {"kind": kind})
    with pytest.raises(InputError, match="does not describe a network: it has no config"):
        load_potential(path)


def test_repulsion_parameters_cover_gfn2_and_name_other_elements():
    assert len(repulsion_parameters(range(1, 87))) == 86
    with pytest.raises(InputError, match=r"no pair repulsion is known for Fr; .* from H to Rn"):
        repulsion_parameters([1, 87])


class Zero(Mace):
    """A network that predicts 0, which leaves the repulsion alone."""

    def forward(self, graph):
        found = super().forward(graph)
        forces = None if self.conservative else torch.zeros_like(graph.positions)
        return Prediction(0 * found.energy, found.features, forces)


class ZeroDirect(Zero):
    conservative = False


def test_potential_has_the_same_repulsion_with_direct_forces():
    batch = MoleculeBatch.from_ase([molecule("CH3Cl"), molecule("CH4")])
    found = []
    for kind in (Zero, ZeroDirect):
        network = kind(MaceConfig(elements=ELEMENTS, channels=4)).double()
        potential = Potential(network, ATOMS, repulsion_parameters(ELEMENTS))
        found.append(potential.predict(potential.graph(batch, torch.float64)))
    derived, direct = found
    torch.testing.assert_close(direct.energy, derived.energy)
    torch.testing.assert_close(direct.forces, derived.forces, atol=1e-9, rtol=1e-9)
    assert float(derived.forces.detach().abs().max()) > 1


def test_evaluate_gives_twice_the_energy_for_twice_the_cell(model, crystals):
    for atoms in crystals[:2]:
        one = model.evaluate(atoms, forces=True)
        two = model.evaluate(atoms.repeat((2, 1, 1)), forces=True)
        assert float(two.energy) == pytest.approx(2 * float(one.energy), abs=1e-4)
        torch.testing.assert_close(two.forces[: len(atoms)], one.forces, atol=1e-4, rtol=1e-4)


def test_evaluate_in_a_large_cell_agrees_with_the_molecule(model):
    alone = molecule("CH3Cl")
    boxed = molecule("CH3Cl", vacuum=6.0, pbc=True)
    out = model.evaluate([alone, boxed], forces=True)
    assert float(out.energy[0]) == pytest.approx(float(out.energy[1]), abs=1e-5)


def test_evaluate_gives_stress_that_is_the_derivative_of_the_energy(potential, model, crystals):
    batch = MoleculeBatch.from_ase(crystals)
    found = model.evaluate(batch, forces=True, stress=True)
    double = Mace(potential.config).double()
    double.load_state_dict(potential.network.state_dict())
    exact = Potential(double, ATOMS, potential.repulsion)

    def energy(molecules):
        return exact(double.graph(molecules, torch.float64)).energy.detach()

    def stretched(axis, other, by):
        strain = np.eye(3)
        strain[axis, other] += by / 2
        strain[other, axis] += by / 2
        moved = [atoms.copy() for atoms in crystals]
        for atoms in moved[:2]:
            atoms.set_cell(np.asarray(atoms.cell) @ strain, scale_atoms=True)
        return MoleculeBatch.from_ase(moved)

    volume = torch.tensor([atoms.cell.volume for atoms in crystals[:2]])
    for axis, other in ((0, 0), (1, 1), (0, 1), (1, 2)):
        ends = [energy(stretched(axis, other, sign * 1e-4)) for sign in (1, -1)]
        slope = (ends[0] - ends[1])[:2] / 2e-4 / volume
        torch.testing.assert_close(found.stress[:2, axis, other], slope, atol=1e-4, rtol=1e-3)
    assert torch.equal(found.stress[:2], found.stress[:2].mT)
    assert found.stress[2].isnan().all()


def test_evaluate_in_chunks_is_the_same_as_at_once(model, crystals, monkeypatch):
    many = MoleculeBatch.from_ase(crystals * 7)
    whole = model.evaluate(many, forces=True, stress=True, descriptors=True)
    monkeypatch.setattr(model, "_chunk", 10)
    parts = model.evaluate(many, forces=True, stress=True, descriptors=True)
    for name in ("energy", "forces", "descriptors"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(parts.stress, whole.stress, atol=1e-5, rtol=1e-4, equal_nan=True)


def test_evaluate_refuses_stress_of_a_model_without_it():
    with pytest.raises(InputError, match="mace does not compute stress; it computes: energy, fo"):
        NetworkEnergy("mace").evaluate(molecule("H2O"), stress=True)


@pytest.mark.parametrize("others", [[], ["CH3Cl"]])
def test_evaluate_gives_no_stress_for_a_cell_without_atoms(model, others):
    images = [Atoms(cell=[5, 5, 5], pbc=True), *map(molecule, others)]
    out = model.evaluate(images, stress=True)
    assert out.energy[0] == 0
    assert out.stress.isnan().all()
