"""Energy models of others, which raise, or return what is no output."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from ase.build import molecule

from molrl.agents.random import random_actions
from molrl.energy import EnergyModel, EnergyOutput
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.testing import check_energy_model


class Brittle(EnergyModel):
    """Springs, but for molecules with oxygen."""

    name = hash = "brittle"
    elements = (1, 6, 7, 8)
    implemented_properties = ("energy", "forces", "charges")

    def _evaluate(self, molecules, wanted):
        if len(molecules.numbers) > 1 and (molecules.numbers == 8).any():
            raise RuntimeError("no\nlicence")
        energy = molecules.sum_atoms(molecules.positions.double().square().sum(1))
        charges = {name: molecules.positions[:, 0].double() for name in wanted.properties}
        forces = -2 * molecules.positions.double() if wanted.forces else None
        return EnergyOutput(energy, forces, properties=charges)


def test_evaluate_fails_only_those_molecules_for_which_a_model_raises():
    molecules = [molecule(name) for name in ("CH4", "H2O", "H2", "CO")]
    output = Brittle().evaluate(molecules, forces=True, properties=["charges"])
    assert output.failures == dict.fromkeys((1, 3), "brittle: RuntimeError: no licence")
    kept = [0, 2]
    alone = Brittle().evaluate([molecules[i] for i in kept], forces=True, properties=["charges"])
    torch.testing.assert_close(output.energy[kept], alone.energy)
    failed = torch.tensor([i not in kept for i, atoms in enumerate(molecules) for _ in atoms])
    torch.testing.assert_close(output.forces[~failed], alone.forces)
    torch.testing.assert_close(output.properties["charges"][~failed], alone.properties["charges"])
    assert output.energy[[1, 3]].isnan().all()
    assert output.forces[failed].isnan().all()
    assert output.properties["charges"][failed].isnan().all()


def test_evaluate_returns_nan_where_a_model_raises_for_all_molecules():
    output = Brittle().evaluate([molecule("H2O"), molecule("CO")], forces=True)
    assert output.energy.isnan().all()
    assert len(output.energy) == 2
    assert output.forces.isnan().all()
    assert output.forces.shape == (5, 3)
    assert set(output.failures) == {0, 1}


def test_evaluate_keeps_the_shapes_of_properties_where_a_model_raises_for_all_molecules():
    output = Brittle().evaluate([molecule("H2O"), molecule("CO")], properties=["charges"])
    assert output.properties["charges"].shape == (5,)
    assert output.properties["charges"].isnan().all()


def test_evaluate_raises_what_a_model_raises_for_no_molecules():
    class Full(Brittle):
        def _evaluate(self, molecules, wanted):
            raise ValueError("no molecules")

    with pytest.raises(ValueError, match="no molecules"):
        Full().evaluate(MoleculeBatch.from_ase([]))


def test_evaluate_refuses_forces_and_properties_of_another_type():
    class Listing(Brittle):
        def _evaluate(self, molecules, wanted):
            output = super()._evaluate(molecules, wanted)
            output.forces = output.forces.tolist() if wanted.forces else None
            output.properties = {}
            return output

    with pytest.raises(InputError, match="brittle returned forces as list; it must be a tensor"):
        Listing().evaluate(molecule("CH4"), forces=True)
    with pytest.raises(InputError, match="brittle returned no charges; it must compute"):
        Listing().evaluate(molecule("CH4"), properties=["charges"])


def test_check_energy_model_says_why_every_molecule_fails():
    class Raising(Brittle):
        def _evaluate(self, molecules, wanted):
            raise NameError("name 'oops' is not defined")

    with pytest.raises(AssertionError, match="not every molecule fails: brittle: NameError"):
        check_energy_model(Raising())


def test_a_model_without_energies_of_its_atoms_is_refused():
    class Useless(EnergyModel):
        name = hash = "useless"
        elements = (1, 6)

        def _evaluate(self, molecules, wanted):
            raise ZeroDivisionError("division by zero")

    with pytest.raises(InputError) as refused:
        gym.make("MolDesign-v0", bag="CH4", energy=Useless())
    assert str(refused.value) == (
        "energy model 'useless' has no energy of a single H atom: "
        "useless: ZeroDivisionError: division by zero"
    )


@pytest.mark.parametrize("returned", [np.zeros(2), EnergyOutput(np.zeros(2)), None], ids=str)
def test_evaluate_refuses_what_is_no_output(returned):
    class Wrong(EnergyModel):
        name = hash = "wrong"
        elements = (1,)

        def _evaluate(self, molecules, wanted):
            return returned

    with pytest.raises(
        InputError, match=r"wrong returned .*; it must (return an EnergyOutput|be a tensor)"
    ):
        Wrong().evaluate([molecule("H2"), molecule("H2")])


def test_episodes_whose_energy_raises_end_and_the_others_go_on():
    envs = gym.make_vec(
        "MolDesign-v0", num_envs=8, bag="CH2O", energy=Brittle(), autoreset_mode="SameStep"
    )
    rng, beside = np.random.default_rng(0), 0
    observation, _ = envs.reset(seed=0)
    for _ in range(12):
        observation, _, ended, _, info = envs.step(random_actions(observation, rng))
        reasons = info["final_info"]["reason"][ended] if ended.any() else []
        if any("brittle: RuntimeError: no licence" in reason for reason in reasons):
            n_atoms = (observation["numbers"] > 0).sum(1)
            beside += int((n_atoms[~ended] > 1).sum())
    assert beside > 0
