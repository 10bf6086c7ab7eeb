import pytest
import torch
from torch import nn

from molrl.agents.kept import KeptPolicies


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("updates", torch.tensor(0))


def set_to(network, value):
    with torch.no_grad():
        network.weight.fill_(value)
        network.updates.fill_(int(value))


def weight(kept, which):
    with kept.using(which):
        return kept.network.weight.item(), kept.network.updates.item()


def test_kept_average_is_exponential_after_the_first_updates():
    kept = KeptPolicies(Scale(), decay=0.5)
    expected = 0.0
    for n in range(30):
        set_to(kept.network, n)
        kept.update(10 * n)
        decay = min(0.5, n / (n + 10))
        expected = decay * expected + (1 - decay) * n
    average, updates = weight(kept, "average")
    assert average == pytest.approx(expected)
    assert updates == 29  # a counter is not averaged
    assert kept.steps("average") == 290
    assert weight(kept, "last") == (29.0, 29)


def test_kept_best_is_that_of_the_highest_score():
    kept = KeptPolicies(Scale(), decay=0.9)
    assert kept.names() == ["last", "average"]
    for value, score in enumerate([1.0, float("nan"), 3.0, 2.0]):
        set_to(kept.network, value)
        kept.update(value)
        kept.offer("last", value, score)
    assert (weight(kept, "best"), kept.score, kept.steps("best")) == ((2.0, 2), 3.0, 2)
    assert kept.names() == ["last", "best", "average"]
    average = weight(kept, "average")
    kept.offer("average", 3, 4.0)
    assert weight(kept, "best") == average


def test_kept_using_gives_the_trained_weights_back_after_an_error():
    kept = KeptPolicies(Scale(), decay=0.9)
    set_to(kept.network, 5)

    def fail():
        with kept.using("average"):
            assert kept.network.weight.item() == 0
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert kept.network.weight.item() == 5


def test_kept_restores_a_snapshot():
    kept, other = KeptPolicies(Scale(), decay=0.9), KeptPolicies(Scale(), decay=0.9)
    for value in (1, 2):
        set_to(kept.network, value)
        kept.update(value)
        kept.offer("last", value, -value)
    other.restore(*kept.snapshot())
    for each in (kept, other):
        set_to(each.network, 7)
        each.update(7)
    for which in kept.names():
        assert weight(other, which) == weight(kept, which)
        assert other.steps(which) == kept.steps(which)
    assert other.score == kept.score
