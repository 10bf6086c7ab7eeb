from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.energy import load_energy
from molrl.energy.networks.batched import ATOMS_PER_CHUNK
from molrl.energy.networks.energy import SHIPPED, NetworkEnergy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.neighbors import find_neighbors
from molrl.runs.weights import load_weights, save_weights
from molrl.safe_e3nn import o3

NAMES = ["CH3OH", "H2O", "CH4", "HCN", "NH3", "CH3CONH2", "C6H6", "CO2", "CH3CH2OH"]


@pytest.fixture(scope="module")
def model():
    return load_energy("mace")


@pytest.fixture
def batch():
    """Molecules off their equilibrium, so that forces are not small."""
    rng = np.random.default_rng(0)
    images = [molecule(name) for name in NAMES]
    for image in images:
        image.positions += rng.normal(0, 0.05, image.positions.shape)
    return MoleculeBatch.from_ase(images)


def test_network_energy_is_the_same_alone_and_in_a_batch(model, batch):
    together = model.evaluate(batch, forces=True)
    for i in range(len(batch)):
        alone = model.evaluate(batch[i], forces=True)
        assert abs(float(alone.energy[0] - together.energy[i])) < 1e-4
        assert (alone.forces - together.forces[batch.molecule == i]).abs().max() < 1e-4


def repeated(batch):
    """Return a batch many times over, in more atoms than a chunk of a CPU holds."""
    copies = ATOMS_PER_CHUNK["cpu"] // len(batch.numbers) + 1
    return MoleculeBatch.cat([batch] * copies)


def test_network_energy_is_the_same_in_chunks(model, batch):
    energy = model.evaluate(repeated(batch)).energy.view(-1, len(batch))
    assert (energy - energy[0]).abs().max() < 1e-4


def test_network_energy_is_invariant_and_its_forces_are_equivariant(model, batch):
    out = model.evaluate(batch, forces=True)
    torch.manual_seed(0)
    turn = -o3.rand_matrix(dtype=torch.float64)
    moved = MoleculeBatch(
        batch.numbers, batch.positions @ turn.T + torch.tensor([3.0, -2.0, 1.0]), batch.n_atoms
    )
    turned = model.evaluate(moved, forces=True)
    assert (turned.energy - out.energy).abs().max() < 1e-4
    assert (turned.forces - out.forces @ turn.T).abs().max() < 1e-3

    order = torch.cat(
        [torch.arange(int(n)).flip(0) + s for n, s in zip(batch.n_atoms, batch.starts, strict=True)]
    )
    shuffled = MoleculeBatch(batch.numbers[order], batch.positions[order], batch.n_atoms)
    assert (model.evaluate(shuffled).energy - out.energy).abs().max() < 1e-4


def test_network_energy_and_forces_are_the_same_far_from_the_origin(model, batch):
    here = model.evaluate(batch, forces=True)
    shifts = torch.zeros(len(batch), 3, dtype=torch.float64)
    shifts[::2, 1] = 1e5  # every other molecule, so that one batch has both
    there = replace(batch, positions=batch.positions + shifts[batch.molecule])
    found = model.evaluate(there, forces=True)
    assert (found.energy - here.energy).abs().max() < 1e-4
    assert (found.forces - here.forces).abs().max() < 1e-3


def test_network_energy_forces_are_the_negative_gradient(model):
    atoms = molecule("CH3OH")
    batch = MoleculeBatch.from_ase(atoms)
    forces = model.evaluate(batch, forces=True).forces
    step = 1e-2
    for i in range(3):
        for axis in range(3):
            shifted = [atoms.copy(), atoms.copy()]
            shifted[0].positions[i, axis] += step
            shifted[1].positions[i, axis] -= step
            up, down = model.evaluate(shifted).energy
            assert float(forces[i, axis]) == pytest.approx(-float(up - down) / (2 * step), abs=0.02)


def test_network_energy_has_forces_within_inference_mode(model):
    with torch.inference_mode():
        inside = MoleculeBatch.from_ase(molecule("CH3OH"))
        energy = model.evaluate(inside).energy
        forces = model.evaluate(inside, forces=True).forces
    outside = model.evaluate(molecule("CH3OH"), forces=True)
    torch.testing.assert_close(energy, outside.energy, atol=1e-4, rtol=0)
    torch.testing.assert_close(forces, outside.forces, atol=1e-4, rtol=0)


def test_network_energy_of_isolated_atoms_and_empty_canvases_is_exact(model):
    atoms = [(np.array([z]), np.zeros((1, 3))) for z in model.elements]
    empty = (np.array([], int), np.zeros((0, 3)))
    out = model.evaluate(MoleculeBatch.from_arrays([empty, *atoms, empty]), forces=True)
    reference = load_energy("gfn2").atom_energies()
    assert out.energy.tolist() == [0.0, *(model.potential.atomic_energies), 0.0]
    for z, energy in zip(model.elements, model.potential.atomic_energies, strict=True):
        assert energy == pytest.approx(reference[z], abs=1e-6)
    assert (out.forces == 0).all()


def test_network_energy_of_batches_without_atoms_is_zero(model):
    empty = (np.array([], int), np.zeros((0, 3)))
    for molecules in ([], [empty, empty]):
        out = model.evaluate(MoleculeBatch.from_arrays(molecules), forces=True)
        assert out.energy.tolist() == [0.0] * len(molecules)
        assert out.forces.shape == (0, 3)


def without_sums(header):
    """The header of weights as it is given to be written."""
    return {key: value for key, value in header.items() if not key.endswith("sha256")}


def test_network_energy_refuses_weights_of_another_network(tmp_path):
    tensors, header = load_weights(SHIPPED["mace"], kind="network")
    head = without_sums(header)
    fewer = {name: tensor for name, tensor in tensors.items() if "readouts.0" not in name}
    save_weights(tmp_path / "fewer.json", fewer, head)
    with pytest.raises(InputError, match=r"fewer\.json do not fit the network: readouts"):
        NetworkEnergy(tmp_path / "fewer.json")
    head["config"] = header["config"] | {"channels": 16}
    save_weights(tmp_path / "wider.json", tensors, head)
    with pytest.raises(InputError, match="do not fit the network"):
        NetworkEnergy(tmp_path / "wider.json")


def test_network_energy_hash_depends_on_settings_too(model, tmp_path):
    tensors, header = load_weights(SHIPPED["mace"], kind="network")
    config = header["config"] | {"cutoff": 4.5}
    save_weights(tmp_path / "other.json", tensors, without_sums(header) | {"config": config})
    assert NetworkEnergy(tmp_path / "other.json").hash != model.hash


def test_load_energy_loads_both_shipped_models_by_name(model):
    small = load_energy("mace-small")
    assert (model.name, small.name) == ("mace", "mace-small")
    assert small.hash != model.hash
    sizes = [sum(p.numel() for p in one.potential.network.parameters()) for one in (small, model)]
    assert sizes[0] < sizes[1]
    assert small.offers_uncertainty
    with pytest.raises(InputError, match="mace-small takes nothing after a colon"):
        load_energy("mace-small:x")


def test_network_energy_of_distant_fragments_is_additive(model):
    water, methane = molecule("H2O"), molecule("CH4")
    pair = water.copy()
    methane.positions += [20, 0, 0]
    pair += methane
    single = model.evaluate([water, methane]).energy.sum()
    assert float(model.evaluate(pair).energy[0] - single) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("shipped", SHIPPED)
def test_network_energy_of_shipped_models_is_near_gfn2(shipped):
    """The shipped models are fitted to GFN2-xTB."""
    images = [molecule(name) for name in NAMES]
    ours = load_energy(shipped).evaluate(images).energy
    theirs = load_energy("gfn2").evaluate(images).energy
    n = torch.tensor([len(image) for image in images])
    assert ((ours - theirs).abs() / n).max() < 0.05


def test_network_energy_refuses_unknown_elements(model):
    with pytest.raises(InputError, match="molecule 1 holds Au"):
        model.evaluate(
            MoleculeBatch.from_arrays(
                [(np.array([6]), np.zeros((1, 3))), (np.array([79]), np.zeros((1, 3)))]
            )
        )


def test_load_energy_loads_fitted_weights_by_path(model, tmp_path):
    tensors, header = load_weights(SHIPPED["mace"], kind="network")
    path = tmp_path / "mine.json"
    save_weights(path, tensors, without_sums(header))
    mine = load_energy(f"mace:{path}")
    assert isinstance(mine, NetworkEnergy)
    assert mine.hash == model.hash
    changed = {k: v + 1e-3 if v.is_floating_point() else v for k, v in tensors.items()}
    save_weights(tmp_path / "other.json", changed, without_sums(header))
    assert NetworkEnergy(tmp_path / "other.json").hash != model.hash


def test_evaluate_lists_neighbors_once(model, batch, monkeypatch):
    listed = []

    def count(*arguments):
        listed.append(arguments)
        return find_neighbors(*arguments)

    monkeypatch.setattr("molrl.molecules.find_neighbors", count)
    model.evaluate(repeated(batch), forces=True)
    assert len(listed) == 1
