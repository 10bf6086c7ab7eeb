import copy

import pytest
import torch

from molrl.agents.config import PolicyConfig
from molrl.agents.interface import Inputs
from molrl.agents.networks.actor_critic import Actor
from molrl.agents.networks.covariant import CovariantNetwork
from molrl.agents.networks.encoder import bound

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


def test_network_with_exploding_features_is_finite(network, canvas):
    network, observation = copy.deepcopy(network), canvas(7)
    actions = drawn(network, observation)
    with torch.no_grad():
        for layer in network.encoder.layers:
            for weight in (*layer.gate.parameters(), *layer.update.parameters()):
                weight *= 1e4
    found = network.evaluate_actions(observation, actions)
    torch.autograd.backward((found.log_prob + found.entropy + found.value).sum())
    for values in (found.log_prob, found.entropy, found.value):
        assert values.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_bound_scales_only_large_features_each_atom_by_one_factor():
    features = torch.randn(4, 25, 3, generator=torch.Generator().manual_seed(0))
    features[0], features[1] = 0, 1e6 * features[1]
    bounded = bound(features)
    assert torch.equal(bounded[[0, 2, 3]], features[[0, 2, 3]])
    torch.testing.assert_close(bounded[1] / bounded[1].norm(), features[1] / features[1].norm())
    assert float(bounded[1].square().mean().sqrt()) == pytest.approx(300)


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


@pytest.fixture(scope="module")
def seeing():
    """Return a network that sees points, refills and fixed atoms, with perturbed weights."""
    generator = torch.Generator().manual_seed(1)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        network = CovariantNetwork(PolicyConfig(), Inputs(4, points=True, refills=True, fixed=True))
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def with_points(observation, n_points=6, seed=0):
    n = len(observation["bag"])
    generator = torch.Generator().manual_seed(seed)
    points = 2 * torch.randn(n, n_points, 3, generator=generator)
    points[:, 0] = 0.0  # where the first atom is
    counts = {"refills": torch.full((n, 1), 2), "n_fixed": torch.full((n, 1), 1)}
    return observation | {"points": points} | counts


@pytest.mark.parametrize("n_atoms", [1, 2, 5])
@pytest.mark.parametrize("mirror", [1, -1])
def test_network_is_covariant_with_all_inputs(seeing, canvas, turn, n_atoms, mirror):
    observation = with_points(canvas(n_atoms))
    actions = drawn(seeing, observation)
    for seed in range(2):
        matrix = mirror * turn(seed)
        moved = actions.clone()
        moved[:, 2:] = actions[:, 2:] @ matrix.T
        turned = {name: observation[name] @ matrix.T for name in ("positions", "points")}
        same(evaluate(seeing, observation, actions), evaluate(seeing, observation | turned, moved))


def test_network_does_not_depend_on_the_order_of_points(seeing, canvas):
    observation = with_points(canvas(4))
    actions = drawn(seeing, observation)
    shuffled = observation | {"points": observation["points"].flip(1)}
    same(evaluate(seeing, observation, actions), evaluate(seeing, shuffled, actions))


@pytest.mark.parametrize("key", ["points", "refills", "n_fixed"])
def test_network_sees_points_refills_and_fixed_atoms(seeing, canvas, key):
    observation = with_points(canvas(3))
    fewer = with_points(canvas(3), seed=1)["points"] if key == "points" else observation[key] - 1
    other = observation | {key: fewer}
    actions = drawn(seeing, observation)
    a, b = evaluate(seeing, observation, actions), evaluate(seeing, other, actions)
    assert (a.log_prob - b.log_prob).abs().max() > 1e-3
    assert (a.value - b.value).abs().max() > 1e-3


def test_network_directs_an_atom_by_the_points_alone(seeing, canvas):
    """One atom has no direction by itself: what a turn of the points changes is the direction."""
    observation = with_points(canvas(1))
    actions = drawn(seeing, observation)
    turned = observation | {"points": observation["points"] * torch.tensor([1, -1, -1])}
    a, b = evaluate(seeing, observation, actions), evaluate(seeing, turned, actions)
    assert (a.log_prob - b.log_prob).abs().max() > 1e-3
    assert (a.value - b.value).abs().max() < TOLERANCE


def test_network_of_a_seed_is_the_same_without_further_inputs():
    with torch.random.fork_rng():
        networks = []
        for seen in (False, True):
            torch.manual_seed(3)
            networks.append(
                CovariantNetwork(PolicyConfig(), Inputs(4, seen, seen, seen)).state_dict()
            )
    plain, seeing = networks
    assert all(torch.equal(x, seeing[name]) for name, x in plain.items())
    assert {name.split(".")[0] for name in {*seeing} - {*plain}} == {"points", "refills", "fixed"}


def test_act_computes_each_head_once(network, canvas):
    calls = []
    heads = ("encoder", "focus_head", "element_head", "distance_head", "direction_head", "critic")
    hooks = [
        getattr(network, name).register_forward_hook(lambda *_, name=name: calls.append(name))
        for name in heads
    ]
    observation = canvas(3)
    network.act(observation, noise(len(observation["bag"])))
    for hook in hooks:
        hook.remove()
    assert sorted(calls) == sorted(heads)
