"""Preconditioning, scores and symmetries of the models."""

from dataclasses import fields, replace

import pytest
import torch

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.generators.diffusion.cloud import Cloud
from molrl.generators.diffusion.config import NoiseConfig, TrunkConfig
from molrl.generators.diffusion.models import MODELS, Preconditioning, Spread, noise_of
from molrl.generators.diffusion.noise import add_noise, draw_known, draw_levels, loss

ELEMENTS = (1, 6, 7, 8, 9, 16)
SPREAD = Spread(1.3, 0.1)
SIGMA = torch.tensor([0.3, 0.7, 0.1]).double()
KINDS = [(name, head) for name in MODELS for head in ("energy", "direct")]


def make_model(name="diffusion", head="energy"):
    """A model in float64 whose heads are not 0, as they are before training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = TrunkConfig(head=head, channels=8, hidden=8, vectors=4, layers=2)
        model = MODELS[name](shape, ELEMENTS, SPREAD).double()
        for parameter in model.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.5)
    return model


def select(cloud, choose):
    """A part of a cloud."""
    return Cloud(**{each.name: choose(getattr(cloud, each.name)) for each in fields(cloud)})


def clean_cloud(chosen):
    """Molecules of the shipped set in float64."""
    return Cloud.of_molecules(
        shipped_molecules().molecules[chosen].to(dtype=torch.float64), ELEMENTS
    )


@pytest.fixture(name="noisy")
def make_noisy():
    return add_noise(clean_cloud([5, 40, 900]), SIGMA, torch.Generator().manual_seed(0))


def test_preconditioning_is_the_identity_without_noise():
    found = Preconditioning.of(torch.tensor([0.0, 1e-8]).double(), 1.3)
    assert torch.allclose(found.skip, torch.ones(2).double(), atol=1e-15)
    assert torch.allclose(found.out, torch.zeros(2).double(), atol=1e-7)
    assert torch.allclose(found.into, torch.full((2,), 1 / 1.3).double())


def test_preconditioning_forgets_the_input_in_pure_noise():
    sigma = torch.tensor([1e8]).double()
    found = Preconditioning.of(sigma, 1.3)
    assert found.skip < 1e-15
    assert found.out.item() == pytest.approx(1.3)
    assert (found.into * sigma).item() == pytest.approx(1.0)


def test_preconditioning_gives_the_network_targets_of_variance_one():
    sigma = torch.logspace(-3, 2, 20).double()
    found = Preconditioning.of(sigma, 1.3)
    # Karras et al. 2022, Eq. 117 and 131: inputs and targets have a variance of 1.
    assert torch.allclose(found.into.square() * (sigma**2 + 1.3**2), torch.ones(20).double())
    target = ((1 - found.skip) * 1.3).square() + (found.skip * sigma).square()
    assert torch.allclose(found.out.square(), target)
    of_x, _ = make_model().weights(sigma)
    assert torch.allclose(of_x * found.out.square(), torch.ones(20).double())


def test_untrained_denoiser_skips_the_noisy_value_and_not_its_scaled_input(noisy):
    with torch.random.fork_rng():
        model = MODELS["diffusion"](TrunkConfig(channels=8, hidden=8), ELEMENTS, SPREAD).double()
    positions, features = model.denoise(noisy, SIGMA)
    level = SIGMA[:, None, None]
    assert torch.allclose(positions, noisy.positions * 1.3**2 / (level**2 + 1.3**2))
    assert torch.allclose(features, noisy.features * 0.1**2 / (level**2 + 0.1**2))


@pytest.mark.parametrize("what", ["positions", "features"])
def test_score_is_the_negative_gradient_of_the_energy(noisy, what):
    model, step = make_model(), 1e-5
    clean = dict(zip(("positions", "features"), model.denoise(noisy, SIGMA), strict=True))
    values = getattr(noisy, what)
    score = (clean[what] - values) / SIGMA[:, None, None] ** 2
    random = torch.Generator().manual_seed(1)
    for _ in range(5):
        way = torch.randn(values.shape, generator=random).double() * noisy.mask[..., None]
        ends = [
            model.energy(replace(noisy, **{what: values + s * way}), SIGMA) for s in (step, -step)
        ]
        slope = (ends[0] - ends[1]) / (2 * step)
        assert torch.allclose(-slope, (score * way).sum((1, 2)), rtol=1e-5, atol=1e-5)


def test_pseudo_forces_are_the_negative_gradient_of_an_energy(noisy):
    model = make_model("pseudo-force")
    scale = 0.3 / SPREAD.features

    def energy(positions):
        inputs = torch.cat([scale * noisy.features, torch.zeros(*noisy.mask.shape, 2)], dim=-1)
        return model.network.energy(inputs, positions, noisy.mask)

    pull, _ = model.forces(noisy)
    way = torch.randn(noisy.positions.shape, generator=torch.Generator().manual_seed(1)).double()
    way = way * noisy.mask[..., None]
    slope = (energy(noisy.positions + 1e-5 * way) - energy(noisy.positions - 1e-5 * way)) / 2e-5
    assert torch.allclose(-slope, (pull * way).sum((1, 2)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("name", "head"), KINDS)
def test_denoised_molecules_turn_and_mirror_with_noisy_ones(noisy, name, head):
    model = make_model(name, head)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)).double()).Q
    for matrix in (turn, -turn):
        plain = model.denoise(noisy, SIGMA)
        turned = model.denoise(noisy.at(noisy.positions @ matrix), SIGMA)
        assert torch.allclose(plain[0] @ matrix, turned[0], atol=1e-9)
        assert torch.allclose(plain[1], turned[1], atol=1e-9)
    assert (plain[0] - noisy.positions).abs().max() > 0.01


@pytest.mark.parametrize("head", ["energy", "direct"])
def test_pseudo_forces_do_not_depend_on_where_a_molecule_is(noisy, head):
    model = make_model("pseudo-force", head)
    shift = torch.tensor([3.0, -1.0, 2.0]).double() * noisy.mask[..., None]
    plain, shifted = model.forces(noisy), model.forces(noisy.at(noisy.positions + shift))
    assert torch.allclose(plain[0], shifted[0], atol=1e-9)
    assert torch.allclose(plain[1], shifted[1], atol=1e-9)


@pytest.mark.parametrize(("name", "head"), KINDS)
def test_denoised_molecules_follow_a_permutation_and_ignore_padding(noisy, name, head):
    model = make_model(name, head)
    first = select(noisy, lambda values: values[1:2])
    n = int(first.n_atoms)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(3))
    moved = select(first, lambda values: values[:, order])
    plain, permuted = model.denoise(first, SIGMA[1:2]), model.denoise(moved, SIGMA[1:2])
    for one, other in zip(plain, permuted, strict=True):
        assert torch.allclose(one[:, order], other, atol=1e-9)
    in_batch = model.denoise(noisy, SIGMA)
    assert torch.allclose(in_batch[0][1, :n], plain[0][0, :n], atol=1e-9)


@pytest.mark.parametrize(("name", "head"), KINDS)
def test_what_is_known_stays(name, head):
    random = torch.Generator().manual_seed(4)
    clean = clean_cloud(slice(100, 140))
    known = draw_known(clean, NoiseConfig(named=0.5, placed=0.5), random)
    assert 5 < int(known.placed.any(-1).sum()) < 35
    assert bool((known.named | ~known.placed).all())
    sigma = torch.full((len(known),), 0.5).double()
    noisy = add_noise(known, sigma, random)
    positions, features = make_model(name, head).denoise(noisy, sigma)
    assert torch.equal(positions[known.placed], known.positions[known.placed])
    assert torch.equal(features[known.named], known.features[known.named])
    free = known.mask & ~known.placed
    assert not torch.equal(noisy.positions[free], known.positions[free])


def test_noise_is_found_from_displacements():
    clean = Cloud.of_molecules(shipped_molecules().molecules[1000:1400], ELEMENTS)
    sigma = torch.full((len(clean),), 0.4)
    noisy = add_noise(clean, sigma, torch.Generator().manual_seed(0))
    found = noise_of(clean.positions - noisy.positions, noisy)
    assert float(found.square().mean().sqrt()) == pytest.approx(0.4, rel=0.02)


def test_levels_are_log_normal_up_to_the_largest():
    config = NoiseConfig(log_mean=-1.0, log_width=0.5, largest=1.0)
    drawn = draw_levels(4000, config, torch.Generator().manual_seed(0))
    assert float(drawn.log().median()) == pytest.approx(-1.0, abs=0.03)
    assert float(drawn.max()) == 1.0


def test_loss_of_an_untrained_denoiser_is_about_one():
    clean = Cloud.of_molecules(shipped_molecules().molecules[1000:1400], ELEMENTS)
    random = torch.Generator().manual_seed(0)
    sigma = draw_levels(len(clean), NoiseConfig(), random)
    shape = TrunkConfig(head="direct", channels=8, hidden=8)
    with torch.random.fork_rng(), torch.no_grad():
        model = MODELS["diffusion"](shape, ELEMENTS, SPREAD)
        losses = loss(model, clean, add_noise(clean, sigma, random), sigma)
    assert [float(each) for each in losses] == pytest.approx([1.0, 1.0], abs=0.15)
