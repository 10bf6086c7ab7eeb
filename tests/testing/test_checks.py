"""The checks of parts: ours pass them, and each broken rule is named."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.calculators.emt import EMT

from molrl import testing
from molrl.agents.algorithms.on_policy import PPOAlgorithm
from molrl.agents.config import PolicyConfig, PPOConfig
from molrl.agents.networks.covariant import CovariantNetwork
from molrl.agents.random import RandomAgent
from molrl.energy import EnergyModel, EnergyOutput
from molrl.energy.networks import Network, NetworkConfig, Prediction
from molrl.parts import ENERGY_FACTS, FOUNDATION_MODELS, REGISTRIES
from molrl.rewards.energy import RelativeEnergy

SHIPPED = {
    kind: [name for name in registry if registry.source(name) == "molrl"]
    for kind, registry in REGISTRIES.items()
}


@pytest.mark.parametrize("name", sorted({*ENERGY_FACTS} - {*FOUNDATION_MODELS} - {"pm6"}))
def test_check_energy_model_passes_ours(name):
    testing.check_energy_model(name)


def test_check_energy_model_passes_ase_calculators():
    testing.check_energy_model(EMT(), seed=1)


def test_check_energy_model_names_a_wrong_stress():
    class Compressed(EMT):
        def calculate(self, *arguments):
            super().calculate(*arguments)
            if "stress" in self.results:
                self.results["stress"] = 1.5 * self.results["stress"] - 0.01

    with pytest.raises(AssertionError, match=r"^stress is the derivative of the energy"):
        testing.check_energy_model(Compressed())


def test_check_energy_model_passes_pm6():
    pytest.importorskip("scine_sparrow")
    testing.check_energy_model("pm6")


@pytest.mark.parametrize("name", sorted({*SHIPPED["reward"]} - {"relative_energy"}))
def test_check_reward_term_passes_ours(name):
    testing.check_reward_term(name)


def test_check_reward_term_passes_a_term_with_options():
    references = {"H2O": -138.0, "CH4O": -224.0, "NH3": -120.0, "CO": -180.0}
    testing.check_reward_term(RelativeEnergy(None, references))


def test_check_generator_passes_random():
    testing.check_generator(RandomAgent("gfn2"), seed=3)


@pytest.mark.parametrize("name", SHIPPED["network"])
def test_check_network_passes_ours(name):
    testing.check_network(name)


@pytest.mark.parametrize("name", SHIPPED["policy"])
def test_check_policy_passes_ours(name):
    testing.check_policy(name)


@pytest.mark.bitwise
@pytest.mark.parametrize(
    "config",
    [
        {"name": "imitation", "batch_size": 16, "n_steps": 8},
        {"name": "cloning", "batch_size": 16, "batches": 2},
        {"name": "ppo", "batch_size": 16, "n_epochs": 2, "n_steps": 8},
        {"name": "a2c", "n_steps": 8},
    ],
    ids=lambda config: config["name"],
)
def test_check_algorithm_passes_ours(config):
    testing.check_algorithm({**config, "num_envs": 4}, total_steps=128)


def test_checked_algorithms_are_all_of_ours():
    assert SHIPPED["algorithm"] == ["imitation", "cloning", "ppo", "a2c"]


def test_shipped_energies_have_their_facts():
    assert {*ENERGY_FACTS} == {*SHIPPED["energy"]}


class Fixed(CovariantNetwork):
    """A policy that draws its own noise once."""

    def act(self, observation, noise):
        return super().act(observation, torch.full_like(noise, 0.5))


class Offset(CovariantNetwork):
    def act(self, observation, noise):
        made = super().act(observation, noise)
        return replace(made, log_prob=made.log_prob + 0.01)


class Padded(CovariantNetwork):
    def predict_values(self, observation):
        return super().predict_values(observation) + observation["numbers"].shape[1]

    def evaluate_actions(self, observation, actions):
        found = super().evaluate_actions(observation, actions)
        return replace(found, value=found.value + observation["numbers"].shape[1])

    def act(self, observation, noise):
        made = super().act(observation, noise)
        return replace(made, value=made.value + observation["numbers"].shape[1])


class Leaning(CovariantNetwork):
    """A policy that depends on the frame of reference."""

    def evaluate_actions(self, observation, actions):
        found = super().evaluate_actions(observation, actions)
        return replace(found, log_prob=found.log_prob + actions[:, 2])

    def act(self, observation, noise):
        made = super().act(observation, noise)
        return replace(made, log_prob=made.log_prob + made.actions[:, 2])


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Fixed, "other noise gives other actions"),
        (Offset, "an action has the log-probability and the value of its evaluation"),
        (Padded, "more empty slots change nothing"),
        (Leaning, "a rotation of the canvas does not change the probability"),
    ],
)
def test_check_policy_names_the_broken_rule(kind, broken):
    class Broken(PolicyConfig):
        network = kind

    with pytest.raises(AssertionError, match=f"^{broken}"):
        testing.check_policy(Broken(width=16, channels=4, degree=2, layers=1))


class Forgetting(PPOAlgorithm):
    def snapshot(self):
        tensors, state = super().snapshot()
        return {k: x for k, x in tensors.items() if not k.startswith("optimizer/")}, state


class Idle(PPOAlgorithm):
    def run(self, on_step, on_update):
        super().run(on_step, lambda: None)


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Forgetting, "a training restored from a snapshot ends as the one"),
        (Idle, "it trains to the last step, with a report after every update"),
    ],
)
def test_check_algorithm_names_the_broken_rule(kind, broken):
    class Broken(PPOConfig):
        algorithm = kind

    config = Broken(num_envs=4, n_steps=8, batch_size=16, n_epochs=1)
    with pytest.raises(AssertionError, match=f"^{broken}"):
        testing.check_algorithm(config, total_steps=96)


class Springs(EnergyModel):
    """Pairs within 3 Å on springs, right in all respects; tests break one each."""

    name = hash = "springs"
    elements = (1, 6, 7, 8)

    def energy(self, molecules):
        neighbors = molecules.neighbors(3.0)
        springs = (3.0 - molecules.distances(neighbors)) ** 2
        of_atoms = springs.new_zeros(len(molecules.numbers))
        return molecules.sum_atoms(of_atoms.index_add(0, neighbors.pairs[0], springs))

    def _evaluate(self, molecules, wanted):
        positions = molecules.positions.detach().clone().requires_grad_()
        batch = type(molecules)(molecules.numbers, positions, molecules.n_atoms)
        with torch.enable_grad():
            energy = self.energy(batch)
            (gradient,) = torch.autograd.grad(energy.sum(), positions)
        return EnergyOutput(energy.detach(), forces=-gradient if wanted.forces else None)


class Descending(Springs):
    elements = (8, 1)


class Drifting(Springs):
    def energy(self, molecules):
        return super().energy(molecules) + molecules.sum_atoms(molecules.positions[:, 0])


class Crowded(Springs):
    def energy(self, molecules):
        return super().energy(molecules) * len(molecules)


class Weightless(Springs):
    def _evaluate(self, molecules, wanted):
        output = super()._evaluate(molecules, wanted)
        output.forces = None if output.forces is None else 0.5 * output.forces
        return output


class Single(Springs):
    def _evaluate(self, molecules, wanted):
        output = super()._evaluate(molecules, wanted)
        return EnergyOutput(output.energy.float(), output.forces)


class Meddling(Springs):
    def _evaluate(self, molecules, wanted):
        output = super()._evaluate(molecules, wanted)
        molecules.positions[:] += 1
        return output


@pytest.mark.parametrize(
    ("model", "broken"),
    [
        (Descending, "elements are ascending"),
        (Single, "energies are .* float64"),
        (Meddling, "the molecules of a batch are not changed"),
        (Crowded, "a batch gives the energies of its molecules one by one"),
        (Drifting, "the energy does not change when a molecule is moved"),
        (Weightless, "forces are minus the gradient"),
    ],
)
def test_check_energy_model_names_the_broken_rule(model, broken):
    testing.check_energy_model(Springs())
    with pytest.raises(AssertionError, match=f"^{broken}"):
        testing.check_energy_model(model())


def late(placed):
    return [1.0] * len(placed)


def endless(placed):
    return np.full(len(placed), np.nan)


class Counting:
    """A term that counts its calls."""

    at_end, calls = True, 0

    def __call__(self, placed):
        self.calls += 1
        return np.full(len(placed), float(self.calls))


class Greedy:
    """A term that wants what no model computes."""

    at_end, wants = True, ("colour",)

    def __call__(self, placed):
        return np.zeros(len(placed))


@pytest.mark.parametrize(
    ("term", "broken"),
    [
        (endless, "it returns one finite number for each canvas"),
        (Counting(), "canvases one by one give the same numbers"),
        (Greedy(), "wants is a tuple of what the energy model computes"),
    ],
)
def test_check_reward_term_names_the_broken_rule(term, broken):
    testing.check_reward_term(late)
    with pytest.raises(AssertionError, match=f"^{broken}"):
        testing.check_reward_term(term)


class Forgetful(RandomAgent):
    def generate(self, task, n, seed):
        return super().generate(task, n, 0)


class Global(RandomAgent):
    def generate(self, task, n, seed):
        return super().generate(task, n, torch.randint(1000, ()).item())


class Short(RandomAgent):
    def generate(self, task, n, seed):
        return super().generate(task, max(1, n - 1), seed)


@pytest.mark.parametrize(
    ("generator", "broken"),
    [
        (Forgetful, "another seed gives other molecules"),
        (Global, "it generates 3 molecules of CO and leaves the shared random state alone"),
        (Short, "it makes exactly the n molecules"),
    ],
)
def test_check_generator_names_the_broken_rule(generator, broken, morse):
    state = torch.get_rng_state()
    with pytest.raises(AssertionError, match=f"^{broken}"):
        testing.check_generator(generator(morse()), bag="CO")
    assert torch.equal(torch.get_rng_state(), state)


class Constant(Network):
    """A network whose isolated atoms have an energy."""

    Config = NetworkConfig

    def __init__(self, config):
        super().__init__(config)
        self.shift = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, graph):
        energy = self.shift.expand(graph.n_molecules)
        return Prediction(energy, torch.zeros(len(graph.positions), 1))


def test_check_network_names_the_broken_rule():
    with pytest.raises(AssertionError, match=r"^isolated atoms have energy 0"):
        testing.check_network(Constant)
