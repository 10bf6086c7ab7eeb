import numpy as np
import pytest
from ase.build import molecule

from molrl.agents.config import PolicyConfig
from molrl.agents.evaluation import PolicyEvaluator, mean_bond_length
from molrl.agents.files import SHIPPED
from molrl.agents.generator import read_policy
from molrl.agents.interface import Inputs, build_network
from molrl.envs.config import EnvConfig
from molrl.envs.problem import Problem
from molrl.molecules import MoleculeBatch


def test_mean_bond_length_is_in_units_of_the_covalent_radii():
    methane = molecule("CH4")
    methane.positions *= 1.5 * (0.76 + 0.31) / methane.get_distance(0, 1) / 1.4
    assert mean_bond_length(MoleculeBatch.from_ase(methane)) == pytest.approx(1.5 / 1.4)


def test_evaluation_has_no_strain_without_valid_molecules():
    problem = Problem(EnvConfig(task="C2H6O", energy="mace-small"))
    network = build_network(PolicyConfig(width=8, channels=4), Inputs(4))
    figures = PolicyEvaluator(problem, 2, 0, None).evaluate(network)
    assert figures["valid_fraction"] == 0
    assert figures["strain"] is None
    assert figures["bond_length"] is None


def test_strain_is_the_energy_above_the_relaxed_geometry():
    problem = Problem(EnvConfig(task="CH4O", energy="mace-small"))
    evaluator = PolicyEvaluator(problem, 2, 0, None)
    distorted = molecule("CH3OH")
    distorted.rattle(0.1, seed=0)
    strained = evaluator._strain(MoleculeBatch.from_ase(distorted))
    assert strained > 0.2
    assert evaluator._strain(MoleculeBatch.from_ase(molecule("CH3OH"))) < 0.1


def test_evaluation_at_a_low_temperature_has_episodes_that_are_alike():
    tensors, header = read_policy(SHIPPED["covariant"])
    network = build_network(header.policy, header.inputs).eval()
    network.load_state_dict(tensors)
    problem = Problem(EnvConfig(task="C2H6O", energy="mace", elements=header.elements))
    spreads = [
        np.std(PolicyEvaluator(problem, 32, 0, None, temperature)._play(network)[0])
        for temperature in (1.0, 1e-3)
    ]
    assert spreads[1] < 0.1 * spreads[0]
