import pytest
import torch

from molrl.agents.network import Actor
from molrl.agents.rollout import N_NOISE

TOLERANCE = 1e-4


def noise(n, seed=0):
    return torch.rand(n, N_NOISE, generator=torch.Generator().manual_seed(seed))


def judged(network, observation, actions):
    with torch.no_grad():
        return Actor(network, observation).evaluate_actions(actions)


def drawn(network, observation, seed=0):
    return Actor(network, observation).sample(noise(len(observation["bag"]), seed))


def same(a, b):
    for name in ("value", "log_prob", "entropy"):
        assert (getattr(a, name) - getattr(b, name)).abs().max() < TOLERANCE, name


@pytest.mark.parametrize("n_atoms", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("mirror", [1, -1])
def test_rotation_and_reflection(network, canvas, turn, n_atoms, mirror):
    observation = canvas(n_atoms)
    actions = drawn(network, observation)
    for seed in range(3):
        matrix = mirror * turn(seed)
        moved = actions.clone()
        moved[:, 2:] = actions[:, 2:] @ matrix.T
        turned = observation | {"positions": observation["positions"] @ matrix.T}
        same(judged(network, observation, actions), judged(network, turned, moved))


def test_heads_see_the_geometry(network, canvas, turn):
    """The symmetry tests could be passed by a network that sees nothing."""
    observation = canvas(5)
    actions = drawn(network, observation)
    turned = actions.clone()
    turned[:, 2:] = actions[:, 2:] @ turn(0).T
    change = judged(network, observation, actions).log_prob
    change = change - judged(network, observation, turned).log_prob
    assert change.abs().max() > 0.05
    stretched = observation | {"positions": 1.2 * observation["positions"]}
    moved = judged(network, stretched, actions).value - judged(network, observation, actions).value
    assert moved.abs().max() > 1e-3


def test_translation(network, canvas):
    observation = canvas(5)
    actions = drawn(network, observation)
    there = (observation["numbers"] > 0)[..., None] * torch.tensor([1.3, -2.1, 0.4])
    moved = observation | {"positions": observation["positions"] + there}
    same(judged(network, observation, actions), judged(network, moved, actions))


def test_permutation(network, canvas):
    observation = canvas(5)
    actions = drawn(network, observation)
    order = torch.tensor([3, 1, 4, 0, 2, 5, 6, 7, 8])
    shuffled = observation | {
        key: observation[key][:, order] for key in ("numbers", "positions", "focus_mask")
    }
    moved = actions.clone()
    moved[:, 0] = torch.argsort(order)[actions[:, 0].long()].float()
    same(judged(network, observation, actions), judged(network, shuffled, moved))


def test_padding_changes_nothing(network, canvas):
    small, large = canvas(5, n_slots=5), canvas(5, n_slots=25)
    actions = drawn(network, small)
    same(judged(network, small, actions), judged(network, large, actions))


def test_batch_is_the_same_as_one_by_one(network, canvas):
    parts = [canvas(n, batch=3, seed=n) for n in (0, 1, 4, 9)]
    whole = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    actions = drawn(network, whole)
    together = judged(network, whole, actions)
    for i in range(len(actions)):
        alone = judged(network, {k: v[i : i + 1] for k, v in whole.items()}, actions[i : i + 1])
        assert abs(float(alone.log_prob - together.log_prob[i])) < TOLERANCE
        assert abs(float(alone.value - together.value[i])) < TOLERANCE


def test_no_choice_is_drawn_that_is_masked(network, canvas):
    observation = canvas(4, batch=2000)
    observation["focus_mask"][:, 1] = False
    actions = drawn(network, observation)
    rows = torch.arange(len(actions))
    assert observation["focus_mask"][rows, actions[:, 0].long()].all()
    assert observation["element_mask"][rows, actions[:, 1].long()].all()
    low, high = network.config.distances
    lengths = actions[:, 2:].norm(dim=-1)
    assert (lengths > low - 1e-5).all()
    assert (lengths < high + 1e-5).all()


def test_first_atom_counts_by_its_element_alone(network, canvas):
    observation = canvas(0)
    actions = drawn(network, observation)
    assert (actions[:, 2:] == 0).all()
    elsewhere = actions.clone()
    elsewhere[:, 0], elsewhere[:, 2:] = 3, 1.1
    a, b = judged(network, observation, actions), judged(network, observation, elsewhere)
    same(a, b)
    assert (a.log_prob <= 0).all()


def test_bag_is_seen_on_an_empty_canvas(network, canvas):
    observation = canvas(0, batch=1)
    other = observation | {"bag": observation["bag"] + torch.tensor([[0, 2, 0, 1]])}
    actions = drawn(network, observation)
    a, b = judged(network, observation, actions), judged(network, other, actions)
    assert abs(float(a.value - b.value)) > 1e-4
    assert abs(float(a.log_prob - b.log_prob)) > 1e-4


def test_log_prob_is_that_of_the_choices(network, canvas):
    """The mass of each discrete choice, summed over what can follow, is 1."""
    observation = canvas(3, batch=1)
    actor = Actor(network, observation)
    focus = network.focus(actor.encoded).exp()
    assert float(focus.detach().sum()) == pytest.approx(1, abs=1e-5)
    scalars, _ = network.at_focus(actor.encoded, torch.tensor([2]))
    assert float(network.elements(actor.encoded, scalars).detach().exp().sum()) == pytest.approx(
        1, abs=1e-5
    )


def test_gradients_reach_every_parameter(network, canvas):
    parts = [canvas(n) for n in (0, 4)]
    for observation in parts:
        judgement = Actor(network, observation).evaluate_actions(drawn(network, observation))
        (judgement.log_prob.sum() + judgement.value.sum() + judgement.entropy.sum()).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    network.zero_grad()
    assert not missing
