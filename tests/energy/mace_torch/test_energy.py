"""Networks of mace-torch: energies, heads, conversion, and pickles that need trust."""

import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule

from molrl.cli.main import main
from molrl.energy import load_energy
from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.weights import load_weights, save_weights
from molrl.safe_e3nn import contained, o3

with contained():
    from mace import modules
    from mace.calculators import MACECalculator

NAMES = ["CH3OH", "H2O", "CH3", "C6H6"]
ENERGIES = [-13.6, -1030.0, -2043.0]
STATE = {
    "total_charge": {"type": "continuous", "per": "graph", "in_dim": 1, "emb_dim": 4},
    "total_spin": {"type": "categorical", "per": "graph", "num_classes": 10, "emb_dim": 4},
}
PLAIN = {"atomic_energies": np.array(ENERGIES)}
NETWORKS = {
    "scaled": PLAIN | {"atomic_inter_scale": 0.8, "atomic_inter_shift": 0.1},
    "plain": PLAIN,
    "rich": PLAIN
    | {
        "atomic_inter_scale": 0.8,
        "atomic_inter_shift": 0.0,
        "hidden_irreps": o3.Irreps("4x0e+4x1o"),
    }
    | {"pair_repulsion": True, "distance_transform": "Agnesi"}
    | {"embedding_specs": STATE, "use_embedding_readout": True},
    "headed": {
        "atomic_energies": np.array([ENERGIES, [-1.0, -2.0, -3.0]]),
        "atomic_inter_scale": [1.0, 0.5],
        "atomic_inter_shift": [0.0, 0.2],
        "heads": ["coarse", "fine"],
    },
}


def build(name):
    """Return a small network with random weights."""
    torch.manual_seed(0)
    options = {
        "r_max": 4.0,
        "num_bessel": 4,
        "num_polynomial_cutoff": 5,
        "max_ell": 1,
        "interaction_cls": modules.interaction_classes["RealAgnosticResidualInteractionBlock"],
        "interaction_cls_first": modules.interaction_classes["RealAgnosticInteractionBlock"],
        "num_interactions": 2,
        "num_elements": 3,
        "hidden_irreps": o3.Irreps("4x0e"),
        "MLP_irreps": o3.Irreps("4x0e"),
        "avg_num_neighbors": 6.3,
        "atomic_numbers": [1, 6, 8],
        "correlation": 2,
        "gate": torch.nn.functional.silu,
    }
    kind = modules.ScaleShiftMACE if "atomic_inter_scale" in NETWORKS[name] else modules.MACE
    with contained():
        return kind(**options | NETWORKS[name]).double()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with each network, pickled as mace-torch does."""
    folder = tmp_path_factory.mktemp("networks")
    for name in NETWORKS:
        torch.save(build(name), folder / f"{name}.model")
    return folder


@pytest.fixture(scope="module")
def images():
    """Distorted molecules, of which one is a radical and the last a cation."""
    rng = np.random.default_rng(0)
    images = [molecule(name) for name in NAMES]
    for image in images:
        image.positions += rng.normal(0, 0.05, image.positions.shape)
    images[-1].info = {"charge": 1, "spin": 2}
    images[2].info = {"charge": 0, "spin": 4}
    for image in images[:2]:
        image.info = {"charge": 0, "spin": 1}
    return images


@pytest.mark.parametrize("name", ["plain", "rich"])
def test_mace_module_energy_agrees_with_the_calculator_of_mace_torch(files, images, name):
    model = load_neutral(f"mace:{files / name}.model", trust=True)
    out = model.evaluate(images, forces=True)
    check_against_the_calculator(build(name), images, out)


def test_load_energy_needs_a_head_where_there_are_several(files, images):
    path = f"mace:{files / 'headed.model'}"
    out = load_neutral(f"{path}@fine", trust=True).evaluate(images, forces=True)
    check_against_the_calculator(build("headed"), images, out, head="fine")
    coarse, fine = (load_energy(f"{path}@{head}", "cpu", trust=True) for head in ("coarse", "fine"))
    assert coarse.hash != fine.hash
    with pytest.raises(InputError, match=r"name one, as in .*@coarse; known are: coarse, fine"):
        load_energy(path, "cpu", trust=True)
    with pytest.raises(InputError, match="has no head 'fin'; did you mean 'fine'"):
        load_energy(f"{path}@fin", "cpu", trust=True)


def load_neutral(name, trust=False):
    """Load a network that computes ions too, as neutral molecules unless it takes the charge."""
    return load_energy(name, "cpu", trust=trust, ignore_charge=True)


def calculator_of(network, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MACECalculator(models=network, device="cpu", default_dtype="float64", **options)


def check_against_the_calculator(network, images, out, **options):
    calculator = calculator_of(network, **options)
    theirs = [calculator.get_potential_energy(image) for image in images]
    assert out.energy.numpy() == pytest.approx(theirs, abs=1e-5)
    forces = np.concatenate([calculator.get_forces(image) for image in images])
    assert out.forces.numpy() == pytest.approx(forces, abs=1e-5)


def test_mace_module_energy_in_float32_has_the_error_of_the_interaction_energy(images):
    """With all-electron atoms, total energies in float32 would be wrong by meV."""
    double = MaceModuleEnergy(build("scaled"), "double", "").ignoring_charge()
    single = MaceModuleEnergy(build("scaled").float(), "single", "").ignoring_charge()
    error = (single.evaluate(images).energy - double.evaluate(images).energy).abs().max()
    assert error < 1e-5


def test_mace_module_energy_passes_charge_and_spin_and_takes_ground_state_atoms(files, images):
    model = load_energy(f"mace:{files / 'rich.model'}", "cpu", trust=True)
    plain = images[-1].copy()
    plain.info = {}
    cation, neutral = model.evaluate([images[-1], plain]).energy
    assert abs(cation - neutral) > 1e-3
    carbon = MoleculeBatch.from_arrays([(np.array([6]), np.zeros((1, 3)))])
    triplet = MoleculeBatch(carbon.numbers, carbon.positions, carbon.n_atoms, spin=carbon.spin + 2)
    energies = model.evaluate(MoleculeBatch.cat([carbon, triplet])).energy
    assert abs(energies[0] - energies[1]) > 1e-3
    assert model.atom_energies()[6] == pytest.approx(float(energies[1]), abs=1e-9)


def test_mace_module_energy_of_empty_molecules_is_zero(files):
    model = load_energy(f"mace:{files / 'scaled.model'}", "cpu", trust=True)
    empty = (np.array([], int), np.zeros((0, 3)))
    water = molecule("H2O")
    batch = MoleculeBatch.from_arrays([empty, (water.numbers, water.positions), empty])
    out = model.evaluate(batch, forces=True)
    assert out.energy[[0, 2]].tolist() == [0.0, 0.0]
    torch.testing.assert_close(out.energy[[1]], model.evaluate(water).energy, atol=1e-9, rtol=0)
    assert model.evaluate(batch[:1], forces=True).forces.shape == (0, 3)


@pytest.mark.parametrize("name", ["rich", "headed"])
def test_convert_writes_the_same_network_that_loads_without_trust(
    files, images, name, tmp_path, capsys
):
    output, head = tmp_path / f"{name}.json", "@fine" if name == "headed" else ""
    source = files / f"{name}.model"
    assert main(["energy", "convert", str(source), str(output), "--trust"]) == 0
    assert f"use them as energy mace:{output}" in capsys.readouterr().out
    safe = load_neutral(f"mace:{output}{head}").evaluate(images, forces=True)
    pickled = load_neutral(f"mace:{source}{head}", trust=True).evaluate(images, forces=True)
    torch.testing.assert_close(safe.energy, pickled.energy, atol=1e-9, rtol=0)
    torch.testing.assert_close(safe.forces, pickled.forces, atol=1e-9, rtol=0)


def test_load_module_leaves_the_global_random_state_unchanged(files, tmp_path):
    output = tmp_path / "plain.json"
    assert main(["energy", "convert", str(files / "scaled.model"), str(output), "--trust"]) == 0
    before = torch.get_rng_state()
    load_energy(f"mace:{output}", "cpu")
    assert torch.equal(torch.get_rng_state(), before)


def test_convert_refuses_a_network_that_cannot_be_rebuilt(tmp_path, capsys):
    """Its settings do not describe the normalisation of its second layer."""
    network, source, output = build("scaled"), tmp_path / "odd.model", tmp_path / "odd.json"
    network.interactions[1].avg_num_neighbors = 1.0
    torch.save(network, source)
    assert main(["energy", "convert", str(source), str(output), "--trust"]) == 2
    assert "its energies would differ by" in one_line(capsys)
    assert not output.exists()


def test_convert_refuses_in_one_line(files, tmp_path, capsys):
    target = str(tmp_path / "out.json")

    def refused(source, output, *options):
        assert main(["energy", "convert", str(source), output, *options]) == 2
        assert list(tmp_path.iterdir()) == []
        return one_line(capsys)

    source = files / "scaled.model"
    assert "if you trust its source" in refused(source, target)
    assert "must end in .json" in refused(source, str(tmp_path / "out.pt"), "--trust")
    assert "does not exist" in refused(files / "none.model", target, "--trust")
    assert "only a ScaleShiftMACE can be converted" in refused(
        files / "plain.model", target, "--trust"
    )


def one_line(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_load_energy_runs_no_code_of_an_untrusted_pickle(tmp_path):
    class Bomb:
        def __reduce__(self):
            return Path.touch, (tmp_path / "exploded",)

    bomb = tmp_path / "bomb.model"
    torch.save(Bomb(), bomb)
    (tmp_path / "raw.model").write_bytes(pickle.dumps(Bomb()))
    before = dict(os.environ)
    for path in (bomb, tmp_path / "raw.model", f"{bomb}@head"):
        with pytest.raises(InputError, match=r"can run any code; .* --trust` once, or use load_"):
            load_energy(f"mace:{path}", "cpu")
        assert main(["energy", "convert", str(path), str(tmp_path / "out.json")]) == 2
    for name in ("disguised.json", "disguised.safetensors"):
        (tmp_path / name).write_bytes(bomb.read_bytes())
    with pytest.raises(InputError, match=r"disguised\.json is corrupted"):
        load_energy(f"mace:{tmp_path / 'disguised.json'}", "cpu", trust=True)
    assert not (tmp_path / "exploded").exists()
    assert dict(os.environ) == before
    with pytest.raises(InputError, match="not a network of mace-torch"):
        load_energy(f"mace:{bomb}", "cpu", trust=True)
    assert (tmp_path / "exploded").exists()


def test_load_energy_refuses_files_that_hold_no_network(tmp_path):
    torch.save({"model": 1}, tmp_path / "dict.model")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "linear.model")
    (tmp_path / "text.model").write_text("nothing")
    for name, reason in {
        "dict": "holds a dict, not a network",
        "linear": "holds a Linear; it must be a MACE",
        "text": "is not a network pickled by mace-torch",
    }.items():
        with pytest.raises(InputError, match=reason):
            load_energy(f"mace:{tmp_path / name}.model", "cpu", trust=True)


def test_load_module_refuses_an_invalid_converted_file(files, tmp_path):
    output = tmp_path / "good.json"
    assert main(["energy", "convert", str(files / "scaled.model"), str(output), "--trust"]) == 0
    tensors, header = load_weights(output, "mace-module")
    for key, value, reason in [
        ("interaction_cls", "os.system", "does not describe a network of mace-torch: KeyError"),
        ("hidden_irreps", "8x0e", "does not describe a network of mace-torch: RuntimeError"),
        ("correlation", 90, "correlation must be less than or equal to 5"),
    ]:
        head = {"kind": "mace-module", "config": header["config"] | {key: value}}
        save_weights(tmp_path / "bad.json", tensors, head)
        with pytest.raises(InputError, match=reason):
            load_energy(f"mace:{tmp_path / 'bad.json'}", "cpu")


def test_mace_module_energy_of_cells_agrees_with_the_calculator(files):
    crystal = bulk("C", "diamond", a=3.6)
    crystal.positions[1] += [0.1, -0.05, 0.02]
    molecules = [molecule("CH3OH"), crystal]
    path = files / "scaled.model"
    out = load_energy(f"mace:{path}", trust=True).evaluate(molecules, forces=True, stress=True)
    crystal.calc = calculator_of(build("scaled"))
    assert float(out.energy[1]) == pytest.approx(crystal.get_potential_energy(), abs=1e-8)
    np.testing.assert_allclose(out.forces[-2:].numpy(), crystal.get_forces(), atol=1e-8)
    stress = crystal.get_stress(voigt=False)
    assert np.abs(stress).max() > 1e-4
    np.testing.assert_allclose(out.stress[1].numpy(), stress, atol=1e-8)
    assert out.stress[0].isnan().all()


def test_isolated_energy_is_the_sum_of_the_energies_of_the_atoms(files):
    model = load_energy(f"mace:{files / 'scaled.model'}", trust=True)  # its shift is not 0
    atoms = model.atom_energies()
    water = MoleculeBatch.from_ase(molecule("H2O"))
    assert float(model.isolated_energy(water)) == pytest.approx(2 * atoms[1] + atoms[8], abs=1e-9)


def test_mace_module_energy_computes_stress_in_the_type_of_the_network():
    crystal = bulk("C", "diamond", a=3.6)
    crystal.positions[1] += [0.1, -0.05, 0.02]
    stress = MaceModuleEnergy(build("scaled"), "double", "").evaluate(crystal, stress=True).stress
    crystal.calc = calculator_of(build("scaled"))
    wanted = torch.from_numpy(crystal.get_stress(voigt=False))
    torch.testing.assert_close(stress[0], wanted, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("others", [[], ["CH3OH"]])
def test_mace_module_energy_has_no_stress_for_a_cell_without_atoms(others):
    images = [Atoms(cell=[5, 5, 5], pbc=True), *map(molecule, others)]
    out = MaceModuleEnergy(build("scaled"), "double", "").evaluate(images, stress=True)
    assert out.energy[0] == 0
    assert out.stress.isnan().all()
