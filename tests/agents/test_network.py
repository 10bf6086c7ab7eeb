import pytest
import torch

from molrl.agents.network import Actor, CovariantNetwork

TOLERANCE = 1e-4


def noise(n, seed=0):
    return torch.rand(n, CovariantNetwork.n_noise, generator=torch.Generator().manual_seed(seed))


def evaluate(network, observation, actions):
    with torch.no_grad():
        return network.evaluate_actions(observation, actions)


def drawn(network, observation, seed=0):
    with torch.no_grad():
        return network.act(observation, noise(len(observation["bag"]), seed)).actions


def same(a, b):
    for name in ("value", "log_prob", "entropy"):
        assert (getattr(a, name) - getattr(b, name)).abs().max() < TOLERANCE, name


@pytest.mark.parametrize("n_atoms", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("mirror", [1, -1])
def test_network_is_covariant_under_rotation_and_reflection(network, canvas, turn, n_atoms, mirror):
    observation = canvas(n_atoms)
    actions = drawn(network, observation)
    for seed in range(3):
        matrix = mirror * turn(seed)
        moved = actions.clone()
        moved[:, 2:] = actions[:, 2:] @ matrix.T
        turned = observation | {"positions": observation["positions"] @ matrix.T}
        same(evaluate(network, observation, actions), evaluate(network, turned, moved))


def test_network_depends_on_the_geometry(network, canvas, turn):
    """The symmetry tests would also pass for a network that ignores its input."""
    observation = canvas(5)
    actions = drawn(network, observation)
    turned = actions.clone()
    turned[:, 2:] = actions[:, 2:] @ turn(0).T
    change = evaluate(network, observation, actions).log_prob
    change = change - evaluate(network, observation, turned).log_prob
    assert change.abs().max() > 0.05
    stretched = observation | {"positions": 1.2 * observation["positions"]}
    moved = (
        evaluate(network, stretched, actions).value - evaluate(network, observation, actions).value
    )
    assert moved.abs().max() > 1e-3


def test_network_is_invariant_under_translation(network, canvas):
    observation = canvas(5)
    actions = drawn(network, observation)
    there = (observation["numbers"] > 0)[..., None] * torch.tensor([1.3, -2.1, 0.4])
    moved = observation | {"positions": observation["positions"] + there}
    same(evaluate(network, observation, actions), evaluate(network, moved, actions))


def test_network_is_covariant_under_permutation(network, canvas):
    observation = canvas(5)
    actions = drawn(network, observation)
    order = torch.tensor([3, 1, 4, 0, 2, 5, 6, 7, 8])
    shuffled = observation | {
        key: observation[key][:, order] for key in ("numbers", "positions", "focus_mask")
    }
    moved = actions.clone()
    moved[:, 0] = torch.argsort(order)[actions[:, 0].long()].float()
    same(evaluate(network, observation, actions), evaluate(network, shuffled, moved))


def test_network_does_not_depend_on_padding(network, canvas):
    small, large = canvas(5, n_slots=5), canvas(5, n_slots=25)
    actions = drawn(network, small)
    same(evaluate(network, small, actions), evaluate(network, large, actions))


def test_network_gives_the_same_in_a_batch_and_one_by_one(network, canvas):
    parts = [canvas(n, batch=3, seed=n) for n in (0, 1, 4, 9)]
    whole = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    actions = drawn(network, whole)
    together = evaluate(network, whole, actions)
    for i in range(len(actions)):
        alone = evaluate(network, {k: v[i : i + 1] for k, v in whole.items()}, actions[i : i + 1])
        assert abs(float(alone.log_prob - together.log_prob[i])) < TOLERANCE
        assert abs(float(alone.value - together.value[i])) < TOLERANCE


def test_sample_respects_masks_and_the_window(network, canvas):
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


def test_evaluate_actions_uses_only_the_element_of_the_first_atom(network, canvas):
    observation = canvas(0)
    actions = drawn(network, observation)
    assert (actions[:, 2:] == 0).all()
    elsewhere = actions.clone()
    elsewhere[:, 0], elsewhere[:, 2:] = 3, 1.1
    a, b = evaluate(network, observation, actions), evaluate(network, observation, elsewhere)
    same(a, b)
    assert (a.log_prob <= 0).all()


def test_network_depends_on_the_bag_of_an_empty_canvas(network, canvas):
    observation = canvas(0, batch=1)
    other = observation | {"bag": observation["bag"] + torch.tensor([[0, 2, 0, 1]])}
    actions = drawn(network, observation)
    a, b = evaluate(network, observation, actions), evaluate(network, other, actions)
    assert abs(float(a.value - b.value)) > 1e-4
    assert abs(float(a.log_prob - b.log_prob)) > 1e-4


def test_log_prob_of_discrete_choices_sums_to_one(network, canvas):
    """The probabilities of the focus, and of the element given a focus, sum to 1."""
    observation = canvas(3, batch=1)
    actor = Actor(network, observation)
    focus = network.focus(actor.encoded).exp()
    assert float(focus.detach().sum()) == pytest.approx(1, abs=1e-5)
    scalars, _ = network.at_focus(actor.encoded, torch.tensor([2]))
    assert float(network.elements(actor.encoded, scalars).detach().exp().sum()) == pytest.approx(
        1, abs=1e-5
    )


def test_evaluate_actions_has_gradients_of_every_parameter(network, canvas):
    parts = [canvas(n) for n in (0, 4)]
    for observation in parts:
        evaluation = network.evaluate_actions(observation, drawn(network, observation))
        (evaluation.log_prob.sum() + evaluation.value.sum() + evaluation.entropy.sum()).backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    network.zero_grad()
    assert not missing
