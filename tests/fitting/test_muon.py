import pytest
import torch

from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.fitting.muon import Muon, orthogonalized


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def parameters(*shape):
    return torch.nn.Parameter(torch.randn(shape))


def take_steps(optimizer, parameter, gradients):
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()


@pytest.mark.parametrize("shape", [(24, 24), (8, 40), (40, 8)])
def test_orthogonalized_sets_singular_values_to_one_and_keeps_their_vectors(shape):
    u, _, vt = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    values = torch.logspace(0, -1.5, min(shape))  # of the largest to a thirtieth of it
    found = u.mT @ orthogonalized(u * values @ vt) @ vt.mT
    assert ((found.diagonal() > 0.5) & (found.diagonal() < 1.35)).all()
    assert (found - found.diagonal().diag()).abs().max() < 0.05


def test_orthogonalized_of_zero_is_zero():
    assert orthogonalized(torch.zeros(3, 8, 8)).abs().max() == 0


def test_orthogonalized_treats_the_matrices_of_a_stack_separately():
    stack = torch.randn(2, 3, 8, 16)
    together = orthogonalized(stack)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(together[i, j], orthogonalized(stack[i, j]))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this PyTorch has no Muon")
@pytest.mark.parametrize("shape", [(16, 16), (8, 40), (40, 8)])
def test_muon_agrees_with_torch_for_one_matrix(shape):
    ours, theirs = parameters(*shape), parameters(*shape)
    start = ours.detach().clone()
    theirs.data.copy_(start)
    gradients = torch.randn(5, *shape)
    take_steps(Muon([ours], lr=0.1), ours, gradients)
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    take_steps(reference, theirs, gradients)
    moved = (theirs - start).square().mean().sqrt()
    assert (ours - theirs).square().mean().sqrt() < 0.05 * moved  # both in bfloat16


def test_muon_leaves_a_parameter_without_a_gradient():
    parameter = parameters(8, 8)
    before = parameter.detach().clone()
    Muon([parameter], lr=1.0).step()
    assert torch.equal(parameter, before)


def test_muon_learns_directions_of_small_gradients():
    scale = torch.logspace(0, -1.5, 8)
    wanted = torch.randn(8, 8)
    learnt = torch.nn.Parameter(torch.zeros(8, 8))
    optimizer = Muon([learnt], lr=0.05)
    for _ in range(300):
        loss = ((learnt - wanted) * scale).square().sum()
        (learnt.grad,) = torch.autograd.grad(loss, learnt)
        optimizer.step()
    left = (learnt - wanted).norm(dim=0) / wanted.norm(dim=0)
    assert left.max() < 0.3  # gradient descent leaves 0.7 of the last column


def test_mace_matrices_are_those_between_features():
    network = Mace(MaceConfig(channels=8, radial_mlp=(8,)))
    shapes = {name: p.shape for name, p in network.named_parameters()}
    hidden = network.matrices()
    assert all(min(shapes[name][-2:]) >= 8 for name in hidden)
    rest = set(shapes) - set(hidden)
    assert {name.split(".")[-1] for name in rest} == {
        "embedding",
        "product",
        "0",  # of the readouts
        "readout_in",
        "readout_out",
    }
