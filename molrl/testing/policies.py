"""The check of a policy."""

import numpy as np
import torch
from torch import Tensor

from molrl.agents.config import BasePolicyConfig, parse_policy
from molrl.agents.interface import Decision, Inputs, Observations, PolicyNetwork, build_network
from molrl.testing.rules import random_rotation, require, require_close, rule

_TOLERANCE = 1e-3  # nats, Å: float32
_NUMBERS = (1, 6, 7, 8)
_ATOMS = (0, 1, 2, 4)  # on the canvases


def check_policy(obj: BasePolicyConfig | str, *, seed: int = 0) -> None:
    """Check that a policy keeps the contract of :class:`molrl.agents.interface.PolicyNetwork`.

    The rules, in this order, for observations without and with points to fill, refills and fixed
    atoms: its network is built of the config; actions are possible ones, within the largest
    displacement; the same noise gives the same actions, whatever the shared random state, and other
    noise others; the log-probability and the value of an action are those of its evaluation;
    canvases one by one, and with more empty slots, give the same; neither does a translation change
    them, nor, if it is covariant, a rotation; observations are not changed; weights have gradients,
    and make another network of the config the same.

    Args:
        obj: config of the policy, or a registered name.
        seed: of the weights, the canvases and the noise.

    Raises:
        AssertionError: if it does not; the message begins with the first rule broken.

    Example:
        >>> molrl.testing.check_policy("covariant")
    """
    with rule("it is the config of a policy or the name of one"):
        config = parse_policy(obj)
    n = len(_NUMBERS)
    for inputs in (Inputs(n), Inputs(n, points=True, refills=True, fixed=True)):
        rng = np.random.default_rng(seed)
        network = _built(config, inputs, seed)
        observation = _observation(inputs, rng)
        noise = torch.from_numpy(rng.random((len(_ATOMS), network.n_noise))).float()
        _check_actions(network, observation, noise)
        _check_evaluation(network, observation, noise, rng)
        _check_weights(network, observation, noise, _built(config, inputs, seed + 1))


def _built(config: BasePolicyConfig, inputs: Inputs, seed: int) -> PolicyNetwork:
    with rule(f"its network is built of the config for {inputs}"), torch.random.fork_rng([]):
        torch.default_generator.manual_seed(seed)
        network = build_network(config, inputs)
        require(isinstance(network.n_noise, int), f"n_noise {network.n_noise!r}")
        require(network.max_displacement > 0, f"max_displacement {network.max_displacement!r}")
    return network


def _observation(inputs: Inputs, rng: np.random.Generator) -> Observations:
    """Return canvases of as many atoms as in ``_ATOMS``, 1.2 Å apart, on 5 slots."""
    n, slots = len(_ATOMS), 5
    numbers, positions = np.zeros((n, slots), np.int64), np.zeros((n, slots, 3), np.float32)
    for i, n_atoms in enumerate(_ATOMS):
        steps = rng.normal(size=(n_atoms, 3))
        steps *= 1.2 / np.linalg.norm(steps, axis=-1, keepdims=True)
        numbers[i, :n_atoms] = rng.choice(_NUMBERS, n_atoms)
        positions[i, :n_atoms] = np.cumsum(steps, axis=0)
    bag = rng.integers(0, 3, (n, inputs.n_elements))
    bag[:, 1] += 1
    focus_mask = numbers > 0
    focus_mask[:, 0] = True
    arrays = {
        "numbers": numbers,
        "positions": positions,
        "bag": bag,
        "focus_mask": focus_mask.astype(np.int8),
        "element_mask": (bag > 0).astype(np.int8),
    }
    if inputs.points:
        arrays["points"] = rng.normal(size=(n, 3, 3)).astype(np.float32)
    if inputs.refills:
        arrays["refills"] = rng.integers(0, 3, (n, 1))
    if inputs.fixed:
        arrays["n_fixed"] = np.minimum(np.array(_ATOMS), 1)[:, None]
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _check_actions(network: PolicyNetwork, observation: Observations, noise: Tensor) -> None:
    before = {name: x.clone() for name, x in observation.items()}
    with rule("actions drawn are possible ones, with their log-probabilities and values"):
        _require_possible(network, observation, network.act(observation, noise))
    with rule("the most probable actions are possible ones, with theirs"):
        _require_possible(network, observation, network.act_greedily(observation))
    with rule("the same noise gives the same actions, whatever the shared random state"):
        state = torch.get_rng_state()
        again = [network.act(observation, noise).actions for _ in range(2)]
        require(torch.equal(*again), "they differ")
        require(torch.equal(state, torch.get_rng_state()), "the shared random state has changed")
    with rule("other noise gives other actions"):
        other = network.act(observation, 1 - noise).actions
        require(not torch.equal(again[0], other), "they agree")
    with rule("observations are not changed"):
        for name, x in observation.items():
            require(torch.equal(x, before[name]), f"{name} changed")


def _require_possible(network: PolicyNetwork, observation: Observations, made: Decision) -> None:
    n, actions = len(observation["numbers"]), made.actions
    require(actions.shape == (n, 5), f"actions {tuple(actions.shape)}")
    require(actions.dtype == torch.float32, f"actions {actions.dtype}")
    require(made.log_prob.shape == made.value.shape == (n,), "not one for each canvas")
    focus, element = actions[:, :1].long(), actions[:, 1:2].long()
    require(bool((observation["focus_mask"].gather(1, focus) > 0).all()), "a focus is masked")
    require(bool((observation["element_mask"].gather(1, element) > 0).all()), "an element is")
    longest = float(actions[:, 2:].norm(dim=-1).max())
    limit = network.max_displacement
    require(longest <= limit + _TOLERANCE, f"a displacement of {longest} Å, more than {limit}")


def _check_evaluation(
    network: PolicyNetwork, observation: Observations, noise: Tensor, rng: np.random.Generator
) -> None:
    with rule("an action has the log-probability and the value of its evaluation"):
        made = network.act(observation, noise)
        _require_same(network, observation, made.actions, made.log_prob, made.value)
        values = network.predict_values(observation)
        require_close(values, made.value, _TOLERANCE)
    with rule("canvases one by one give the same"):
        for i in range(len(noise)):
            one = {name: x[i : i + 1] for name, x in observation.items()}
            where = slice(i, i + 1)
            _require_same(network, one, made.actions[where], made.log_prob[where], values[where])
    with rule("more empty slots change nothing"):
        _require_same(network, _padded(observation), made.actions, made.log_prob, values)
    turn = random_rotation(rng).float()
    for what, matrix in (("translation", torch.eye(3)), ("rotation", turn)):
        if what == "rotation" and not network.covariant:
            continue
        with rule(f"a {what} of the canvas does not change the probability of the action"):
            shift = torch.tensor([0.5, -0.3, 0.2]) if what == "translation" else torch.zeros(3)
            actions = torch.cat([made.actions[:, :2], made.actions[:, 2:] @ matrix.T], -1)
            moved = _moved(observation, matrix, shift)
            _require_same(network, moved, actions, made.log_prob, values)


def _require_same(
    network: PolicyNetwork,
    observation: Observations,
    actions: Tensor,
    log_prob: Tensor,
    value: Tensor,
) -> None:
    found = network.evaluate_actions(observation, actions)
    require_close(found.log_prob, log_prob, _TOLERANCE, "nats")
    require_close(found.value, value, _TOLERANCE)
    require(bool(found.entropy.isfinite().all()), "an entropy is not finite")


def _padded(observation: Observations) -> Observations:
    grown = dict(observation)
    for name in ("numbers", "positions", "focus_mask"):
        x = observation[name]
        grown[name] = torch.cat([x, torch.zeros_like(x[:, :2])], dim=1)
    return grown


def _moved(observation: Observations, matrix: Tensor, shift: Tensor) -> Observations:
    """Return rotated and translated canvases; empty slots stay 0."""
    moved, present = dict(observation), observation["numbers"][:, :, None] > 0
    moved["positions"] = torch.where(present, observation["positions"] @ matrix.T + shift, 0.0)
    if "points" in observation:
        moved["points"] = observation["points"] @ matrix.T + shift
    return moved


def _check_weights(
    network: PolicyNetwork, observation: Observations, noise: Tensor, other: PolicyNetwork
) -> None:
    made = network.act(observation, noise)
    with rule("its weights have gradients"):
        found = network.evaluate_actions(observation, made.actions.detach())
        torch.autograd.backward((found.log_prob + found.value + found.entropy).sum())
        require(any(p.grad is not None for p in network.parameters()), "none has")
    with rule("its weights make another network of the config the same"):
        other.load_state_dict(network.state_dict())
        require_close(other.act(observation, noise).actions, made.actions, _TOLERANCE)
