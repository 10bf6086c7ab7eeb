import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.data import chemical_symbols

from molrl.energy import load_energy
from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.errors import InputError
from molrl.fitting.accuracy import errors_of
from molrl.fitting.config import FitConfig
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.fit import Fit, make_potential, pooled_order
from molrl.molecules import MoleculeBatch
from molrl.runs.trainer import train_saving

ATOMS = {1: -10.0, 6: -49.0, 8: -103.0}  # eV
NETWORK = MaceConfig(elements=(1, 6, 8), channels=8, radial_mlp=(8,))


@pytest.fixture(scope="module")
def data():
    """Structures of 2 to 6 atoms with random labels, half of them in the train split."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 7, 40)
    molecules = MoleculeBatch.from_arrays(
        ((rng.choice([1, 6, 8], n), rng.uniform(0, 3, (n, 3))) for n in sizes), dtype=torch.float32
    )
    isolated = molecules.sum_atoms(
        torch.tensor([ATOMS.get(z, 0.0) for z in range(9)])[molecules.numbers].double()
    )
    return Dataset(
        molecules=molecules,
        energy=isolated + torch.from_numpy(rng.normal(size=40)),
        forces=torch.from_numpy(rng.normal(size=(len(molecules.numbers), 3))).float(),
        kind=torch.arange(40) % 2,
        kinds=("one", "other"),
        split=(torch.arange(40) >= 20).long(),
        identity=torch.arange(40),
        identities=tuple(map(str, range(40))),
    )


def fit(data, tmp_path, **settings):
    small = {"steps": 40, "batch_size": 5, "checkpoint_every": 40, "network": NETWORK}
    config = FitConfig(data=(), run_dir=str(tmp_path), **small | settings)
    return Fit(config, data, ATOMS, "cpu")


def test_fit_draws_its_weights_by_its_seed_and_leaves_the_global_generator(data, tmp_path):
    torch.manual_seed(5)
    fit(data, tmp_path, steps=1).write_weights(tmp_path)
    before = torch.get_rng_state()
    begun = fit(data, tmp_path, seed=3)
    fit(data, tmp_path, seed=3, start=str(tmp_path / "mace.json"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    for name, parameter in Mace(begun.potential.config).named_parameters():
        assert torch.equal(begun.parameters[name], parameter), name


def test_fit_learning_rate_warms_up_stays_and_decays_to_zero(data, tmp_path):
    rates = []
    settings = {"learning_rate": 0.02, "warmup": 10, "decay": 0.5}
    fit(data, tmp_path, **settings).run(lambda _, metrics: rates.append(metrics["learning_rate"]))
    assert rates[0] == pytest.approx(0.002)
    assert rates[9:21] == pytest.approx([0.02] * 12)
    half_fallen = 0.02 * (1 + math.cos(math.pi / 3)) / 2  # five of fifteen steps
    assert rates[30] == pytest.approx(half_fallen)
    assert rates[-1] == pytest.approx(0, abs=3e-4)


def test_fit_writes_the_moving_average_of_its_weights(data, tmp_path):
    finished = fit(data, tmp_path, ema=0.5, learning_rate=0.02, decay=0.0)
    followed = {}

    def follow(step, _):
        decay = min(0.5, step / (step + 10))
        for name, parameter in finished.parameters.items():
            before = followed.get(name, start[name])
            followed[name] = decay * before + (1 - decay) * parameter.detach()

    start = {name: p.detach().clone() for name, p in finished.parameters.items()}
    train_saving(finished, tmp_path, follow)
    written = load_energy(f"mace:{finished.weights}").potential.network.state_dict()
    for name, expected in followed.items():
        torch.testing.assert_close(written[name], expected)


def test_fit_reports_the_errors_of_the_written_weights(data, tmp_path):
    finished = fit(data, tmp_path)
    metrics = {}
    train_saving(finished, tmp_path, lambda _, last: metrics.update(last))
    valid = data[data.split == 1]
    errors = errors_of(load_energy(f"mace:{finished.weights}"), valid)
    per_atom = errors.energy_per_atom.abs()
    assert metrics["valid_energy_mae"] == pytest.approx(float(per_atom.mean()), rel=1e-4)
    assert metrics["valid_force_mae"] == pytest.approx(float(errors.force.mean()), rel=1e-4)
    of_one = float(per_atom[valid.of_kind("one")].mean())
    assert metrics["valid_energy_mae/one"] == pytest.approx(of_one, rel=1e-4)


def test_fit_that_diverges_is_refused_and_writes_no_weights(data, tmp_path):
    diverging = fit(data, tmp_path, learning_rate=1e30, warmup=0)
    with pytest.raises(InputError, match="lower learning_rate than 1e\\+30"):
        train_saving(diverging, tmp_path)
    assert not diverging.weights.exists()


def test_fit_refuses_to_start_from_another_network(data, tmp_path):
    finished = fit(data, tmp_path)
    train_saving(finished, tmp_path)
    start = str(finished.weights)
    for key, value in (("cutoff", 4.0), ("avg_neighbors", 9.0), ("channels", 4)):
        with pytest.raises(InputError, match=f"its {key} is"):
            fit(data, tmp_path, start=start, network=NETWORK.model_copy(update={key: value}))
    again = fit(data, tmp_path, start=start)
    for name, parameter in again.parameters.items():
        assert torch.equal(parameter, finished.average[name])


def test_fit_of_a_wider_network_starts_with_the_errors_of_the_narrower(data, tmp_path):
    finished = fit(data, tmp_path / "narrow")
    train_saving(finished, tmp_path / "narrow")
    wider = NETWORK.model_copy(update={"channels": 12})
    again = fit(data, tmp_path / "wide", start=str(finished.weights), network=wider)
    for name, error in finished.errors(finished.valid_set).items():
        assert again.errors(again.valid_set)[name] == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize(("split", "kept"), [("train", 1), ("valid", 0)])
def test_fit_refuses_data_without_a_split(data, tmp_path, split, kept):
    with pytest.raises(InputError, match=f"0 structures of the {split} split"):
        fit(data[data.split == kept], tmp_path)


def test_mace_config_refuses_elements_out_of_order():
    for elements in ((8, 6, 1), (1, 1, 6), ()):
        with pytest.raises(ValueError, match="must ascend"):
            MaceConfig(elements=elements)


def test_pooled_order_takes_each_structure_once_in_batches_of_similar_size():
    sizes = torch.randint(2, 27, (1000,), generator=torch.Generator().manual_seed(1))
    order = pooled_order(sizes, 16, torch.Generator().manual_seed(0))
    assert len(order) == 992  # whole batches
    assert len(order.unique()) == len(order)
    within = torch.stack([part.float().std() for part in sizes[order].split(16)])
    assert within.mean() < 0.2 * sizes.float().std()
    means = torch.stack([part.float().mean() for part in sizes[order].split(16)])
    assert (means.diff() > 0).float().mean() < 0.7  # not from small to large


def test_pooled_order_of_a_small_dataset_is_one_batch():
    order = pooled_order(torch.tensor([3, 1, 2]), 16, torch.Generator().manual_seed(0))
    assert sorted(order.tolist()) == [0, 1, 2]


def test_fit_takes_the_elements_that_are_not_given_from_its_data_or_its_start(data, tmp_path):
    shape = MaceConfig(channels=8, radial_mlp=(8,))
    first = fit(data, tmp_path, network=shape)
    assert first.potential.config.elements == first.config.network.elements == (1, 6, 8)
    first.write_weights(tmp_path)
    holds_carbon = data.molecules.sum_atoms((data.molecules.numbers == 6).long()) > 0
    again = fit(data[~holds_carbon], tmp_path, network=shape, start=str(first.weights))
    assert again.potential.config.elements == (1, 6, 8)


def test_fit_refuses_elements_that_its_data_exceed(data, tmp_path):
    with pytest.raises(InputError, match="holds C; known are H, O; add it to"):
        fit(data, tmp_path, network=NETWORK.model_copy(update={"elements": (1, 8)}))


def test_fit_to_periodic_data_takes_cells_whatever_its_start_takes(data, tmp_path):
    first = fit(data, tmp_path, steps=1)
    assert not first.potential.takes_cells
    first.write_weights(tmp_path)
    cells = 20 * torch.eye(3).repeat(40, 1, 1)
    periodic = replace(data.molecules, cell=cells, pbc=torch.ones(40, 3, dtype=torch.bool))
    again = fit(replace(data, molecules=periodic), tmp_path, start=str(first.weights))
    assert again.potential.takes_cells


def test_fit_refuses_crowding_of_atoms_that_are_bonded_at_the_cutoff(data, tmp_path):
    network = NETWORK.model_copy(update={"elements": (1, 6, 8, 19)})
    config = FitConfig(data=(), run_dir=str(tmp_path), network=network, crowding=True)
    with pytest.raises(InputError, match="crowding: two atoms of K still count as bonded"):
        make_potential(config, data, ATOMS | {19: -600.0})


def test_fit_takes_limits_of_site_energies_by_symbol(data, tmp_path):
    given = {"H": -4.0, "C": -15.0, "N": -14.0, "O": -14.5}
    settings = {"run_dir": str(tmp_path), "data": ("x.npz",), "lowest_site": given}
    config = FitConfig(**settings, dispersion=True, crowding=True)
    elements = tuple(sorted(set(data.molecules.numbers.tolist())))
    atoms = dict.fromkeys(elements, -1.0)
    potential = make_potential(config, data, atoms)
    symbols = [chemical_symbols[z] for z in elements]
    assert potential.lowest_site == tuple(given[symbol] for symbol in symbols)
    assert len(potential.dispersion) == len(potential.bond_limits) == len(elements)
    lacking = config.model_copy(update={"lowest_site": {"H": -4.0}})
    with pytest.raises(InputError, match="lowest_site: there is no energy of C"):
        make_potential(lacking, data, atoms)


@pytest.fixture
def begun(data, tmp_path):
    """A fit from weights to data in a file, with a checkpoint."""
    data.save(tmp_path / "data.npz")
    (tmp_path / "first").mkdir()
    fit(data, tmp_path, seed=1).write_weights(tmp_path / "first")
    return of_files(data, tmp_path)


def of_files(data, tmp_path):
    """The fit to the files in a folder, as they are now."""
    files = {"data": (str(tmp_path / "data.npz"),), "start": str(tmp_path / "first" / "mace.json")}
    small = {"steps": 2, "batch_size": 5, "network": NETWORK}
    return Fit(FitConfig(run_dir=str(tmp_path), **small, **files), data, ATOMS, "cpu")


def test_fit_refuses_to_resume_with_other_data(begun, data, tmp_path):
    checkpoint = begun.snapshot()
    data[:39].save(tmp_path / "data.npz")
    with pytest.raises(InputError, match=r"data\.npz has changed since the run began"):
        of_files(data, tmp_path).restore(checkpoint)


def test_fit_refuses_to_resume_from_another_start(begun, data, tmp_path):
    checkpoint = begun.snapshot()
    fit(data, tmp_path, seed=2).write_weights(tmp_path / "first")
    with pytest.raises(InputError, match=r"first/mace\.json has changed since the run began"):
        of_files(data, tmp_path).restore(checkpoint)


def test_fit_refuses_to_resume_with_other_isolated_atoms(begun, data, tmp_path, monkeypatch):
    checkpoint = begun.snapshot()
    monkeypatch.setitem(ATOMS, 6, -49.5)
    with pytest.raises(InputError, match=r"isolated C is -49\.5 eV, and was -49\.0 when"):
        of_files(data, tmp_path).restore(checkpoint)


def test_fit_resumes_with_files_that_were_moved(begun, data, tmp_path):
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("data.npz", "first"):
        (tmp_path / name).rename(moved / name)
    of_files(data, moved).restore(begun.snapshot())
