"""Lower bounds where the SCF of GFN2-xTB does not converge."""

import pytest
import torch
from ase import Atoms
from ase.build import molecule

from molrl.energy import CountedEnergy, load_energy
from molrl.energy.lower_bound import HOTTER, evaluate_or_bound
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def model():
    return load_energy("gfn2")


def apart(symbols, distance):
    return Atoms(symbols, [[0, 0, 0], [0, 0, distance]])


def stretched(name, distance):
    """Return a molecule with the first hydrogen after the heavy atom moved away from it."""
    atoms = molecule(name)
    atoms.set_distance(0, 1, distance, fix=0)
    return atoms


@pytest.fixture(scope="module")
def mixed():
    """Two that converge at 300 K, one that does at 1500 K and one that does at 5000 K only."""
    return MoleculeBatch.from_ase(
        [molecule("H2O"), stretched("CH4", 5.0), apart("OH", 3.5), molecule("CH4")]
    )


@pytest.mark.parametrize("wrap", [lambda model: model, CountedEnergy])
def test_evaluate_or_bound_takes_the_first_temperature_that_converges(model, mixed, wrap):
    plain = model.evaluate(mixed, forces=True, properties=["dipole"])
    assert sorted(plain.failures) == [1, 2]
    output, bound = evaluate_or_bound(wrap(model), mixed, forces=True, properties=["dipole"])
    assert bound.tolist() == [False, True, True, False]
    assert not output.failures
    hotter = [model.at(temperature).evaluate(mixed) for temperature in HOTTER]
    assert sorted(hotter[0].failures) == [2]
    found = output.energy.tolist()
    wanted = plain.energy.tolist()
    wanted[1:3] = float(hotter[0].energy[1]), float(hotter[1].energy[2])
    assert found == pytest.approx(wanted, abs=1e-4)
    lost = bound[mixed.molecule]
    assert output.forces[lost].isnan().all()
    torch.testing.assert_close(output.forces[~lost], plain.forces[~lost], atol=1e-4, rtol=0)
    assert output.properties["dipole"].isnan().any(-1).tolist() == bound.tolist()


@pytest.mark.parametrize("distance", [2.0, 3.0, 4.0])
def test_evaluate_or_bound_temperatures_give_bounds(model, distance):
    """Where the SCF converges at 300 K too, the energies at higher temperatures lie below."""
    batch = MoleculeBatch.from_ase(stretched("CH4", distance))
    energies = [float(model.evaluate(batch).energy[0])]
    energies += [float(model.at(temperature).evaluate(batch).energy[0]) for temperature in HOTTER]
    assert energies == sorted(energies, reverse=True)
    assert energies[0] - energies[2] > 0.01


def test_evaluate_or_bound_evaluates_other_models_once(mixed):
    model = load_energy("spgfn2")
    failing = sorted(model.evaluate(mixed).failures)
    output, bound = evaluate_or_bound(model, mixed)
    assert failing
    assert sorted(output.failures) == failing
    assert not bound.any()
