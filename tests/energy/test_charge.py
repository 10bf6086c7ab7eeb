"""Charged and open-shell molecules: refused by models of neutral ones, unless it is ignored."""

import subprocess
import sys

import pytest
import torch
from ase.build import molecule

from molrl.energy import CountedEnergy, load_energy
from molrl.energy.models import models_with_charge
from molrl.energy.relaxation import relax
from molrl.errors import InputError
from molrl.evaluation.evaluator import evaluate_molecules
from molrl.molecules import MoleculeBatch

REFUSED = (
    "energy model 'mace' knows neutral molecules of the lowest spin only: "
    "molecule 1 has {}; use gfn2, spgfn2 or pm6"
)


def molecules(**state):
    """A neutral molecule and one with the charge or spin that is given."""
    images = [molecule("H2O"), molecule("OH")]
    images[1].info = state
    return MoleculeBatch.from_ase(images)


@pytest.fixture(scope="module")
def model():
    return load_energy("mace")


@pytest.mark.parametrize(
    ("state", "text"),
    [({"charge": -1}, "charge -1"), ({"spin": 4}, "multiplicity 4")],
)
def test_evaluate_refuses_charge_and_spin_in_one_line(state, text, model):
    for evaluate in (model.evaluate, CountedEnergy(model).evaluate, model.evaluate_biased):
        with pytest.raises(InputError) as error:
            evaluate(molecules(**state))
        assert str(error.value) == REFUSED.format(text)


def test_evaluate_takes_the_lowest_spin_that_is_named(model):
    named, unnamed = model.evaluate(molecules(spin=2)), model.evaluate(molecules())
    assert torch.equal(named.energy, unnamed.energy)


def test_relax_and_evaluator_refuse_charges(model):
    for evaluate in (relax, evaluate_molecules):
        with pytest.raises(InputError, match="molecule 1 has charge 1; use gfn2"):
            evaluate(molecules(charge=1), model)


def test_ignore_charge_computes_ions_as_neutral_molecules(model):
    ignoring = load_energy("mace", ignore_charge=True)
    ion, neutral = ignoring.evaluate(molecules(charge=-1)), model.evaluate(molecules())
    assert torch.equal(ion.energy, neutral.energy)
    assert CountedEnergy(ignoring).evaluate(molecules(charge=-1)).energy.equal(ion.energy)
    assert not model.ignores_charge


def test_ignore_charge_loads_one_model_and_changes_none_that_takes_the_charge():
    assert load_energy("mace", ignore_charge=True) is load_energy("mace", ignore_charge=True)
    assert load_energy("gfn2", ignore_charge=True) is load_energy("gfn2")


def test_ignore_charge_is_an_option_of_a_mapping():
    ignoring = load_energy("mace", ignore_charge=True)
    assert load_energy({"name": "mace", "ignore_charge": True}) is ignoring
    assert load_energy({"name": "mace"}) is load_energy("mace")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"ignore_charge": True}, "needs a name"),
        ({"name": "mace", "ignore_charges": True}, "unknown option 'ignore_charges'"),
        ({"name": "mace", "ignore_charge": 1}, "must be true or false, not 1"),
    ],
)
def test_load_energy_refuses_a_mapping_that_does_not_fit(spec, message):
    with pytest.raises(InputError, match=message):
        load_energy(spec)


def test_models_with_charge_are_those_whose_class_says_so():
    assert models_with_charge() == ["gfn2", "spgfn2", "pm6"]


def test_models_with_charge_import_no_mace_torch():
    code = (
        "import sys; from molrl.energy.models import models_with_charge; "
        "models_with_charge(); sys.exit('mace' in sys.modules or 'tblite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
