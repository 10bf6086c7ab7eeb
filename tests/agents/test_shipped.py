"""The policy that ships: what it may know, what it makes, and training that starts from it."""

import pytest

import molrl
from molrl.agents.files import SHIPPED
from molrl.agents.generator import read_policy
from molrl.bags import Bag
from molrl.chemistry.bonds import validity
from molrl.chemistry.training_set import HELD_OUT
from molrl.cli.experiment import ExperimentConfig
from molrl.errors import InputError
from molrl.generators.search.config import KNOWN_ELEMENTS
from molrl.runs.config import parse_config


@pytest.fixture(scope="module")
def generator():
    return molrl.load_generator("covariant")


def test_shipped_policy_was_trained_without_the_formulas_held_out(generator):
    header = generator.header
    assert header.task.kind == "formulas"
    assert not {instance.bag.formula for instance in header.task.instances()} & HELD_OUT
    assert set(header.elements) == KNOWN_ELEMENTS  # of a search without methods named


@pytest.mark.parametrize("formula", ["C4H7N", "C3H5NO3"])
def test_shipped_policy_builds_valid_isomers_of_formulas_it_has_not_seen(generator, formula):
    made = generator.generate(formula, n=32, seed=0)
    found = validity(made.molecules)
    assert found.valid.sum() / made.attempts >= 0.6
    assert len({s for s, ok in zip(found.smiles, found.valid, strict=True) if ok}) >= 8
    assert {bag.formula for bag in made.molecules.bags()} == {Bag(formula).formula}


def test_shipped_policy_is_sampled_at_a_temperature_below_the_training(generator):
    assert generator.temperature == 0.85


def test_shipped_policy_is_more_often_right_at_half_the_temperature():
    shares = []
    for temperature in (1.0, 0.5):
        generator = molrl.load_generator("covariant", temperature=temperature)
        made = generator.generate("C5H9NO", n=200, seed=0)
        shares.append(validity(made.molecules).valid.sum() / made.attempts)
    assert shares[0] < shares[1]


def test_shipped_policy_gives_up_when_no_episode_is_completed(generator):
    with pytest.raises(InputError, match=r"too few episodes place all atoms of CH20: \d of \d+"):
        generator.generate("CH20", n=256, seed=0)


def test_shipped_policy_returns_are_of_the_energy_that_ships():
    made = molrl.load_generator("covariant", reward={"energy": 1.0}).generate("CO", n=1, seed=0)
    assert made.returns
    assert made.energy_calls > 0


def test_training_that_starts_from_the_shipped_policy_takes_its_network_and_elements():
    header = read_policy(SHIPPED["covariant"])[1]
    config = parse_config(
        {"run_dir": "run", "total_steps": 1, "task": "C4H7N", "policy": {"start": "covariant"}},
        ExperimentConfig,
        where="test",
    )
    assert config.policy.model_copy(update={"start": None}) == header.policy
    assert config.env.elements == header.elements
    with pytest.raises(InputError, match="'covarient' is not a run; write run:PATH, or covariant"):
        parse_config(
            {"run_dir": "run", "total_steps": 1, "task": "C4H7N", "policy": {"start": "covarient"}},
            ExperimentConfig,
            where="test",
        )


def test_shipped_policy_is_small():
    size = SHIPPED["covariant"].with_suffix(".safetensors").stat().st_size
    assert size < 4_000_000
