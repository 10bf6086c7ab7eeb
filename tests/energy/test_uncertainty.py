"""The uncertainty of a network: the mixture, its scale, its files, scores and their gradients."""

import dataclasses

import numpy as np
import pytest
import torch
from ase.build import molecule
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from molrl.energy import load_energy
from molrl.energy.networks.energy import NetworkEnergy
from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.potential import Potential, save_potential
from molrl.energy.uncertainty import REFERENCE_SCORE, GaussianMixture, average, uncertainty_file
from molrl.errors import InputError
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.mixture_fit import fit_mixture, fit_uncertainty, maximised
from molrl.molecules import MoleculeBatch
from molrl.runs.weights import load_weights, save_weights

NAMES = ["CH3OH", "H2O", "CH4", "HCN", "NH3", "CH3CONH2", "CH3CH2OH", "H2CO", "HCOOH"]
ELEMENTS = (1, 6, 7, 8)


def rattled(width, copies, seed):
    rng = np.random.default_rng(seed)
    images = [molecule(name) for name in NAMES for _ in range(copies)]
    for image in images:
        image.positions += rng.normal(0, width, image.positions.shape)
    return MoleculeBatch.from_ase(images)


def _generator():
    return torch.Generator().manual_seed(0)


def dataset(model, molecules):
    """Return a dataset with labels that differ from the model's energies at random."""
    n = len(molecules)
    error = molecules.n_atoms * torch.rand(n, dtype=torch.float64, generator=_generator())
    none = torch.zeros(n, dtype=torch.int64)
    return Dataset(
        molecules=molecules.to(dtype=torch.float32),
        energy=model.evaluate(molecules).energy + error,
        forces=torch.zeros(len(molecules.numbers), 3),
        kind=none,
        kinds=("distorted",),
        split=none,
        identity=none,
        identities=("C",),
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small MACE with random weights, and its mixture."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mace.json"
    potential = Potential(Mace(MaceConfig(channels=8)), (-1.0, -2.0, -3.0, -4.0, -5.0, -6.0))
    save_potential(path, potential)
    model = NetworkEnergy(path)
    mixture = fit_uncertainty(model, dataset(model, rattled(0.05, 12, 0)), seed=0)
    mixture.save(path, load_weights(path, "network")[1]["header_sha256"])
    return path


@pytest.fixture(scope="module")
def model(weights):
    return NetworkEnergy(weights)


@pytest.fixture
def copied(weights, tmp_path):
    for file in weights.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "mace.json"


def cloud(n, seed):
    """Return features from two clouds in three dimensions, and elements 1 and 6 for them."""
    rng = np.random.default_rng(seed)
    numbers = torch.from_numpy(rng.choice([1, 6], n))
    far = rng.choice([0.0, 4.0], n)[:, None] * [1, -1, 0.5]
    shear = np.array([[1, 0.5, 0], [0, 0.3, 0.2], [0, 0, 0.1]])
    return torch.from_numpy(rng.normal(size=(n, 3)) @ shear + far), numbers


def test_nll_agrees_with_scipy():
    x, numbers = cloud(400, 0)
    mixture = fit_mixture(x, numbers, (1, 6), seed=0, k=2)
    nll = mixture.nll(x, numbers)
    for i, number in enumerate((1, 6)):
        mine = numbers == number
        terms = [
            log_weight
            + multivariate_normal(mean, np.linalg.inv(factor @ factor.T)).logpdf(x[mine].numpy())
            for log_weight, mean, factor in zip(
                mixture.log_weights[i].numpy(),
                mixture.means[i].numpy(),
                mixture.factors[i].numpy(),
                strict=True,
            )
        ]
        assert nll[mine].numpy() == pytest.approx(-logsumexp(terms, axis=0), abs=1e-8)
    assert nll.isfinite().all()
    assert mixture.nll(x, numbers + 1).isinf().all()


def test_maximised_raises_the_likelihood_in_each_round():
    x, _ = cloud(400, 1)
    share = torch.nn.functional.one_hot(x[:, 2].argsort().argsort() * 3 // len(x), 3).double()
    ridge = 1e-9 * torch.eye(3, dtype=x.dtype)
    likelihoods = []
    for _ in range(20):
        log_p = maximised(x, share, ridge).log_likelihoods(x, 0)
        likelihoods.append(float(log_p.logsumexp(-1).mean()))
        share = log_p.softmax(-1)
    assert (np.diff(likelihoods) > -1e-9).all()
    assert likelihoods[-1] > likelihoods[0] + 0.1


def test_fit_mixture_finds_the_clouds():
    x, numbers = cloud(4000, 2)
    mixture = fit_mixture(x, numbers, (1, 6), seed=0, k=2)
    for means, log_weights in zip(mixture.means, mixture.log_weights, strict=True):
        ordered = means[means[:, 0].argsort()]
        truth = torch.tensor([[0.0, 0, 0], [4, -4, 2]], dtype=x.dtype)
        assert (ordered - truth).abs().max() < 0.15
        assert (log_weights.exp() - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("n", [15, 60, 300])
def test_fit_mixture_to_few_atoms_tells_those_of_the_same_kind_from_others(n):
    """Of one normal distribution in 64 dimensions, of which few atoms span only a part."""
    rng = np.random.default_rng(0)
    shear = rng.normal(size=(64, 64))
    x, fresh = (torch.from_numpy(rng.normal(size=(m, 64)) @ shear) for m in (n, 500))
    mixture = fit_mixture(x, torch.ones(n, dtype=torch.int64), (1,), seed=0)
    fitted, alike, other = (
        mixture.nll(each, torch.ones(len(each), dtype=torch.int64)).median()
        for each in (x, fresh, 5 * fresh)
    )
    assert alike - fitted < 0.5 * (other - alike)
    assert alike - fitted < 150  # nats; more than 1,000 with the covariance of the few


def test_fit_mixture_takes_fewer_gaussians_for_few_atoms_and_none_for_too_few():
    x, numbers = cloud(40, 3)
    mixture = fit_mixture(x, numbers, (1, 6), seed=0, k=8)
    assert mixture.log_weights.isinf().any()
    assert mixture.nll(x, numbers).isfinite().all()
    rare = numbers.clone()
    rare[:5] = 7
    assert fit_mixture(x, rare, (1, 6, 7), seed=0).nll(x, rare)[:5].isinf().all()
    with pytest.raises(InputError, match="no element has 10 environments"):
        fit_mixture(x, numbers, (9,), seed=0)


def test_scale_is_set_by_the_fitted_structures(model):
    """Scores are 0 at the 99 % quantile and -1 at the median of the half with smaller errors."""
    data = dataset(model, rattled(0.05, 12, 0))
    error = (data.energy - model.evaluate(data.molecules).energy) / data.molecules.n_atoms
    learnt = data.molecules[error <= error.median()]
    u = model.evaluate(learnt, uncertainty=True).uncertainty
    assert np.quantile(u, [0.5, 0.99]) == pytest.approx([-1, 0], abs=0.05)


def test_uncertainty_is_the_same_alone_and_in_a_batch(model):
    batch = rattled(0.05, 1, 5)
    out = model.evaluate(batch, uncertainty=True)
    alone = [model.evaluate(batch[i], uncertainty=True) for i in range(len(batch))]
    assert torch.allclose(out.uncertainty, torch.cat([a.uncertainty for a in alone]), atol=1e-3)
    assert torch.allclose(
        out.atom_uncertainty, torch.cat([a.atom_uncertainty for a in alone]), atol=1e-3
    )
    assert torch.allclose(out.uncertainty, average(out.atom_uncertainty, batch))


def test_uncertainty_is_invariant_under_rotation_and_permutation(model):
    batch = rattled(0.05, 1, 6)
    out = model.evaluate(batch, uncertainty=True)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=_generator()))
    turned = dataclasses.replace(batch, positions=batch.positions @ turn.T + 1.5)
    again = model.evaluate(turned, uncertainty=True).atom_uncertainty
    assert torch.allclose(again, out.atom_uncertainty, atol=5e-3)
    order = torch.arange(len(batch.numbers)).flip(0)
    flipped = MoleculeBatch(batch.numbers[order], batch.positions[order], batch.n_atoms.flip(0))
    again = model.evaluate(flipped, uncertainty=True).atom_uncertainty
    assert torch.allclose(again.flip(0), out.atom_uncertainty, atol=5e-3)


def test_uncertainty_is_larger_for_unseen_structures(model):
    seen = model.evaluate(rattled(0.05, 1, 7), uncertainty=True).uncertainty
    batch = rattled(0.0, 1, 8)
    for factor in (0.7, 1.4):
        stretched = dataclasses.replace(batch, positions=batch.positions * factor)
        unseen = model.evaluate(stretched, uncertainty=True).uncertainty
        assert (unseen > seen).all()
        assert unseen.max() > 0 > seen.mean()  # 0 is for all small errors of the validation split


def test_uncertainty_of_isolated_atoms_and_empty_canvases_is_the_reference_score(model):
    atoms = [(np.array([z]), np.zeros((1, 3))) for z in model.elements]
    apart = (np.array([6, 8]), np.array([[0.0, 0, 0], [0, 0, 9]]))
    empty = (np.array([], int), np.zeros((0, 3)))
    batch = MoleculeBatch.from_arrays([empty, *atoms, apart, empty])
    for some in (batch, batch[[0]], batch[[0, -1]], batch[[1]]):
        out, biased = model.evaluate(some, uncertainty=True), model.evaluate_biased(some)
        for found in (out, biased):
            assert found.uncertainty.tolist() == [REFERENCE_SCORE] * len(some)
            assert found.atom_uncertainty.tolist() == [REFERENCE_SCORE] * len(some.numbers)
        assert biased.bias_forces.shape == (len(some.numbers), 3)
        assert not biased.bias_forces.any()


def test_uncertainty_is_computed_only_on_request(model):
    out = model.evaluate(rattled(0.05, 1, 5))
    assert (out.uncertainty, out.atom_uncertainty, out.descriptors) == (None, None, None)
    out = model.evaluate(rattled(0.05, 1, 5), uncertainty=True)
    assert out.descriptors is None
    assert load_energy("gfn2").evaluate(molecule("H2"), uncertainty=True).uncertainty is None


def test_evaluate_biased_agrees_with_evaluate(model):
    batch = rattled(0.1, 2, 9)
    out = model.evaluate(batch, forces=True, uncertainty=True)
    biased = model.evaluate_biased(batch)
    for name in ("energy", "forces", "uncertainty", "atom_uncertainty"):
        assert torch.allclose(getattr(biased, name), getattr(out, name), atol=1e-4), name
        assert not getattr(biased, name).requires_grad


def test_evaluate_biased_gives_the_gradient_of_the_uncertainty(model):
    batch = rattled(0.1, 1, 10)[[0]]
    forces = model.evaluate_biased(batch).bias_forces
    step = 2e-3
    for i in range(3):
        for axis in range(3):
            shift = torch.zeros_like(batch.positions)
            shift[i, axis] = step
            moved = [
                dataclasses.replace(batch, positions=batch.positions + sign * shift)
                for sign in (1, -1)
            ]
            up, down = model.evaluate(MoleculeBatch.cat(moved), uncertainty=True).uncertainty
            assert float(up - down) / (2 * step) == pytest.approx(float(forces[i, axis]), abs=0.02)


def test_mixture_save_and_load_round_trip(tmp_path, model):
    data = dataset(model, rattled(0.05, 12, 0))
    written = fit_uncertainty(model, data, seed=0)
    written.save(tmp_path / "mace.json", "0" * 64)
    again = GaussianMixture.load(tmp_path / "mace.json", "0" * 64)
    assert again.elements == written.elements == ELEMENTS
    features = torch.randn(
        20, model.potential.config.channels, generator=torch.Generator().manual_seed(0)
    )
    numbers = torch.tensor(ELEMENTS).repeat(10)[:20]
    torch.testing.assert_close(
        again.atom_uncertainty(features, numbers), written.atom_uncertainty(features, numbers)
    )


def test_fit_uncertainty_with_the_same_seed_fits_the_same_mixture(model):
    data, same = (dataset(model, rattled(0.05, 12, 0)) for _ in range(2))
    one, other = (fit_uncertainty(model, some, seed=3) for some in (data, same))
    torch.testing.assert_close(other.means, one.means, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.factors, one.factors, rtol=1e-3, atol=1e-3)
    assert other.scale.model_dump() == pytest.approx(one.scale.model_dump(), rel=1e-3)


def test_network_energy_works_without_a_mixture_and_its_hash_excludes_it(copied, model):
    for ending in (".json", ".safetensors"):
        uncertainty_file(copied).with_suffix(ending).unlink()
    without = NetworkEnergy(copied)
    assert without.hash == model.hash
    assert not without.offers_uncertainty
    assert without.evaluate(molecule("H2O"), uncertainty=True).uncertainty is None
    with pytest.raises(InputError, match="offers no uncertainty"):
        without.evaluate_biased(rattled(0.05, 1, 5))


def test_mixture_load_refuses_a_mixture_of_other_weights(copied):
    tensors, header = load_weights(copied, "network")
    tensors = {name: tensor * 1.01 for name, tensor in tensors.items()}
    rest = {key: value for key, value in header.items() if "sha256" not in key}
    save_weights(copied, tensors, rest)
    with pytest.raises(
        InputError, match=r"mace\.uncertainty\.json belongs to other weights"
    ) as error:
        NetworkEnergy(copied)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_mixture_load_refuses_a_corrupted_file(copied, ending):
    path = uncertainty_file(copied).with_suffix(ending)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"mace\.uncertainty\..* is corrupted"):
        NetworkEnergy(copied)
