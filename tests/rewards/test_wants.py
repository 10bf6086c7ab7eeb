"""What reward terms want of the one evaluation of a step."""

import numpy as np
import pytest
import torch

from molrl.chemistry.fragments import load_fragment
from molrl.energy import load_energy
from molrl.energy.output import Wanted
from molrl.envs.design import MolDesignEnv
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.rewards import combine_wants
from molrl.rewards.wants import check_wanted, split_property, wanted_names

METHANOL = load_fragment("CO")  # C, O, three H of C, H of O
CARBON_MONOXIDE = ([6, 8], [[0, 0, 0], [1.2, 0, 0]])


class Recorder:
    """A reward function of 0 that keeps its arguments."""

    def __init__(self, *wants):
        self.wants = wants

    def __call__(self, molecules, properties):
        self.molecules, self.properties = molecules, properties
        return np.zeros(len(molecules))


def polarity(molecules, properties):
    return [np.linalg.norm(dipole) for dipole in properties["dipole"]]


polarity.wants = ("dipole",)


def test_combine_wants_is_one_evaluation_of_all():
    assert combine_wants([]) == Wanted()
    names = ["gap", "forces", "dipole", "uncertainty", "forces", "gap"]
    wanted = Wanted(forces=True, uncertainty=True, properties=("gap", "dipole"))
    assert combine_wants(names) == wanted
    assert wanted_names(wanted) == ("forces", "uncertainty", "gap", "dipole")
    every = ("forces", "descriptors", "uncertainty")
    assert wanted_names(combine_wants(every)) == every


@pytest.mark.parametrize("bag", ["CH4O", "O"])
def test_custom_term_gets_properties_from_the_one_evaluation_of_a_step(rebuild, bag):
    model = load_energy("gfn2")
    env = MolDesignEnv(bag=bag, energy=model, reward={"energy": 1.0, "mine": polarity})
    n = len(METHANOL.numbers) if bag == "CH4O" else 1
    order = range(n) if n > 1 else [1]
    numbers, positions = METHANOL.numbers[order], METHANOL.positions[order]
    rewards, reason = rebuild(env, numbers, positions)
    assert reason == "complete"
    assert (env.energy_model.calls, env.energy_model.evaluations) == (n, n)
    whole = MoleculeBatch.from_arrays([(numbers, positions)])
    output = model.evaluate(whole, properties=["dipole"])
    dipole = output.properties["dipole"].norm().item()
    bound = sum(model.atom_energies()[z] for z in numbers) - output.energy.item()
    expected = dipole + (bound if n > 1 else 0.0)
    assert sum(rewards) == pytest.approx(expected, abs=1e-3)


def test_custom_term_gets_the_forces_of_the_energy_model(rebuild):
    model, mine = load_energy("gfn2"), Recorder("forces")
    env = MolDesignEnv(bag="CH4O", energy=model, reward={"energy": 1.0, "mine": mine})
    _, reason = rebuild(env, METHANOL.numbers, METHANOL.positions)
    assert reason == "complete"
    assert env.energy_model.calls == env.energy_model.evaluations == 6  # one a step
    assert list(mine.properties) == ["forces"]
    (forces,) = mine.properties["forces"]
    expected = model.evaluate(mine.molecules, forces=True).forces.numpy()
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(forces, expected, rtol=0, atol=1e-6)


def test_terms_get_what_each_wants_from_one_evaluation(rebuild):
    model = load_energy("mace-small")
    one, other = Recorder("descriptors"), Recorder("uncertainty", "forces")
    reward = {"one": one, "other": other, "uncertainty": 1.0}
    env = MolDesignEnv(bag="CO", energy=model, reward=reward, rules={"max_uncertainty": 100.0})
    _, reason = rebuild(env, *CARBON_MONOXIDE)
    assert reason == "complete"
    assert env.energy_model.calls == env.energy_model.evaluations == 2
    assert (list(one.properties), sorted(other.properties)) == (
        ["descriptors"],
        ["forces", "uncertainty"],
    )
    expected = model.evaluate(one.molecules, forces=True, descriptors=True, uncertainty=True)
    found = one.properties | other.properties
    for name, shape in [("forces", (2, 3)), ("descriptors", (2, 128)), ("uncertainty", ())]:
        (array,) = found[name]
        assert (array.shape, array.dtype) == (shape, np.float64)
        values = getattr(expected, name).numpy().reshape(shape)
        np.testing.assert_allclose(array, values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("model", "name", "message"),
    [
        ("gfn2", "stress", "a canvas has no cell"),
        ("gfn2", "descriptors", "'gfn2' offers no descriptors; known are: charges, dipole"),
        ("gfn2", "uncertainty", "'gfn2' offers no uncertainty; known are: charges, dipole"),
        ("gfn2", "dipol", "'gfn2' offers no dipol; did you mean 'dipole'"),
        ("gfn2", "force", "'gfn2' offers no force; did you mean 'forces'"),
        ("mace-small", "dipole", "'mace-small' offers no dipole; known are: descriptors, forces"),
        ("mace-small", "stress", "a canvas has no cell"),
        ("morse", "dipole", "'morse' offers no dipole; it computes energies only"),
        ("morse", "forces", "'morse' offers no forces; it computes energies only"),
    ],
)
def test_environment_refuses_wants_that_its_model_does_not_compute(model, name, message, morse):
    energy = morse() if model == "morse" else model
    with pytest.raises(InputError, match=message) as error:
        MolDesignEnv(bag="CO", energy=energy, reward={"mine": Recorder(name)})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["gfn2", "mace-small"])
def test_check_wanted_accepts_what_a_model_computes(name):
    names = {"gfn2": ["dipole"], "mace-small": ["descriptors", "uncertainty"]}[name]
    check_wanted(combine_wants(["forces", *names]), load_energy(name))


@pytest.mark.parametrize("wants", ["dipole", "", None, 3, (3,), {"dipole"}])
def test_build_reward_refuses_wants_that_are_no_tuple_of_names(wants, morse):
    def mine(molecules, properties):
        return properties["dipole"]

    mine.wants = wants
    with pytest.raises(InputError, match=r"'mine': wants must be a tuple such as \('dipole',\)"):
        MolDesignEnv(bag="CO", energy=morse(), reward={"mine": mine})


def test_split_property_splits_quantities_of_atoms_by_molecule():
    batch = MoleculeBatch.from_arrays(
        [(np.full(n, 6), np.arange(3 * n).reshape(n, 3)) for n in (2, 0, 3)]
    )
    charges = split_property("charges", torch.arange(5.0), batch)
    assert [part.tolist() for part in charges] == [[0, 1], [], [2, 3, 4]]
    for name in ("forces", "descriptors"):
        parts = split_property(name, torch.arange(15.0).view(5, 3), batch)
        assert [part.shape for part in parts] == [(2, 3), (0, 3), (3, 3)]
        assert np.concatenate(parts).ravel().tolist() == list(range(15))
    dipoles = split_property("dipole", torch.arange(9.0).view(3, 3), batch)
    assert [part.tolist() for part in dipoles] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_split_property_takes_unknown_properties_as_of_molecules(rebuild, morse):
    class Gapped(morse):
        implemented_properties = ("energy", "forces", "gap")

        def _evaluate(self, molecules, wanted):
            output = super()._evaluate(molecules, wanted)
            output.properties["gap"] = molecules.n_atoms.double()
            return output

    def gap(molecules, properties):
        return properties["gap"]

    gap.wants = ("gap",)
    env = MolDesignEnv(bag="CO", energy=Gapped(), reward={"mine": gap})
    rewards, reason = rebuild(env, *CARBON_MONOXIDE)
    assert (rewards, reason) == ([0.0, 2.0], "complete")
