import pytest
import torch

from molrl.agents.networks.messages import Messages

N_ATOMS, N_EDGES, CHANNELS, DEGREE = 4, 7, 2, 2


def random(*size):
    generator = torch.Generator().manual_seed(sum(size))
    return torch.randn(*size, generator=generator, dtype=torch.float64, requires_grad=True)


def edges():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, N_ATOMS, (2, N_EDGES), generator=generator)


@pytest.mark.parametrize("n_weights", [1, 2])
def test_messages_are_summed_over_the_senders(n_weights):
    features = random(N_ATOMS, (DEGREE + 1) ** 2, CHANNELS)
    weights = random(N_EDGES, n_weights, DEGREE + 1, CHANNELS)
    angular = random(N_EDGES, (DEGREE + 1) ** 2).detach()
    expected = features.clone()
    for edge, (sender, receiver) in enumerate(edges().T.tolist()):
        for row in range((DEGREE + 1) ** 2):
            own, *carried = weights[edge, :, int(row**0.5)]
            expected[receiver, row] += own * angular[edge, row]
            for weight in carried:
                expected[receiver, row] += weight * features[sender, row]
    made = Messages.apply(features, weights.flatten(1), angular, edges())
    assert torch.allclose(made, expected, atol=1e-12)


@pytest.mark.parametrize("n_weights", [1, 2])
def test_messages_have_the_gradients_of_features_and_weights(n_weights):
    features = random(N_ATOMS, (DEGREE + 1) ** 2, CHANNELS)
    weights = random(N_EDGES, n_weights * (DEGREE + 1) * CHANNELS)
    angular = random(N_EDGES, (DEGREE + 1) ** 2).detach()
    assert torch.autograd.gradcheck(Messages.apply, (features, weights, angular, edges()))
