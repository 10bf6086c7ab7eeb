import pytest
import torch
from torch import nn

from molrl.agents.algorithms.interface import restore_training, training_tensors
from molrl.agents.algorithms.optimizer import MuonAdam
from molrl.fitting.muon import Muon


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.element = nn.Embedding(12, 16)
        self.hidden = nn.Linear(16, 16)
        self.stack = nn.Parameter(torch.randn(3, 16, 16) / 4)
        self.out = nn.Linear(16, 1)
        self.unused = nn.Linear(16, 16)

    def forward(self):
        return self.out(torch.tanh(self.hidden(self.element.weight) @ self.stack)).square().mean()


def descend(net, *optimizers, steps=3):
    for _ in range(steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(net())
        for optimizer in optimizers:
            optimizer.step()


def weights(net):
    return torch.cat([parameter.detach().flatten() for parameter in net.parameters()])


def test_muon_adam_is_muon_for_matrices_between_features_and_adam_for_the_rest():
    one, other = Net(), Net()
    descend(one, MuonAdam(one, lr=0.01))
    matrices = [other.hidden.weight, other.stack, other.unused.weight]
    rest = [other.element.weight, other.hidden.bias, *other.out.parameters(), other.unused.bias]
    adam = torch.optim.Adam(rest, lr=0.01, eps=1e-5, fused=True)
    descend(other, adam, Muon(matrices, lr=0.01))
    assert torch.equal(weights(one), weights(other))
    assert not torch.equal(weights(one), weights(Net()))


def test_muon_adam_goes_on_from_its_state():
    straight, stopped, resumed = Net(), Net(), Net()
    descend(straight, MuonAdam(straight, lr=0.01), steps=6)
    before = MuonAdam(stopped, lr=0.01)
    descend(stopped, before)
    resumed.load_state_dict(stopped.state_dict())
    after = MuonAdam(resumed, lr=0.5)
    after.load_state_dict(before.state_dict())
    descend(resumed, after)
    assert torch.equal(weights(straight), weights(resumed))


def test_muon_adam_takes_the_learning_rates_of_its_groups():
    net = Net()
    before, optimizer = weights(net), MuonAdam(net, lr=0.01)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    descend(net, optimizer)
    assert torch.equal(weights(net), before)


def test_moments_of_another_optimizer_are_refused():
    net = Net()
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    descend(net, adam)
    tensors = training_tensors(net, adam)
    restore_training(net, adam, tensors)
    with pytest.raises(RuntimeError, match="of the optimiser are of another shape"):
        restore_training(net, MuonAdam(net, lr=0.01), tensors)
