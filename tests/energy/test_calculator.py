"""Energy models inside ASE: forces, relaxations, charges, caching, stress."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import CalculationFailed, PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_forces
from ase.optimize import BFGS

import molrl
from molrl.energy import CountedEnergy, load_energy
from molrl.energy.calculator import EnergyCalculator
from molrl.errors import InputError


@pytest.fixture
def water():
    atoms = molecule("H2O")
    atoms.rattle(0.05, seed=0)
    return atoms


@pytest.mark.parametrize("name", ["mace", "gfn2"])
def test_calculator_forces_are_those_of_finite_differences(water, name):
    water.calc = molrl.ase_calculator(name)
    numerical = calculate_numerical_forces(water, eps=5e-3)
    assert water.get_forces() == pytest.approx(numerical, abs=0.02)


def test_calculator_relaxes_water_with_bfgs(water):
    water.calc = molrl.ase_calculator("mace")
    start = water.get_potential_energy()
    assert BFGS(water, logfile=None).run(fmax=0.01, steps=50)
    assert water.get_potential_energy() < start
    assert water.get_angle(1, 0, 2) == pytest.approx(105, abs=5)


def test_calculator_computes_again_only_what_changed(water):
    model = CountedEnergy(load_energy("mace"))
    water.calc = EnergyCalculator(model)
    water.get_forces(), water.get_potential_energy(), water.get_forces()
    assert model.calls == 1
    water.positions[0, 0] += 0.1
    water.get_potential_energy()
    assert model.calls == 2


def test_calculator_sees_a_charge_by_any_of_its_names(water):
    water.calc = molrl.ase_calculator("gfn2")
    neutral = water.get_potential_energy()
    water.info["total_charge"] = 1
    assert water.get_potential_energy() > neutral + 5


def test_calculator_keeps_no_results_of_other_atoms(water):
    calculator = molrl.ase_calculator("mace")
    water.calc = calculator
    water.get_forces()
    other = water.copy()
    other.rattle(0.1, seed=1)
    calculator.calculate(other, ["energy"])
    other.calc = calculator
    wanted = load_energy("mace").evaluate(other, forces=True).forces.numpy()
    assert other.get_forces() == pytest.approx(wanted, abs=1e-4)


def test_calculator_passes_charge_and_multiplicity_of_info(water):
    water.calc = molrl.ase_calculator("gfn2")
    energies = [water.get_potential_energy()]
    for state in ({"charge": 1, "spin": 2}, {"charge": 0, "spin": 3}):
        water.info.update(state)
        energies.append(water.get_potential_energy())
    model = load_energy("gfn2")
    water.info.update({"charge": 1, "spin": 2})
    assert energies[1] == pytest.approx(float(model.evaluate(water).energy), abs=1e-6)
    assert len({round(energy, 2) for energy in energies}) == 3
    with pytest.raises(InputError, match="charge 1"):
        molrl.ase_calculator("mace").get_potential_energy(water)


def test_calculator_gives_properties_and_stress_in_shapes_of_ase(water):
    water.calc = molrl.ase_calculator("gfn2")
    assert water.get_dipole_moment().shape == (3,)
    assert water.get_charges().sum() == pytest.approx(0, abs=1e-6)
    copper = bulk("Cu", cubic=True)
    copper.set_cell(copper.cell * 1.02, scale_atoms=True)
    copper.calc = EMT()
    wanted = copper.get_stress()
    copper.calc = EnergyCalculator(load_energy(EMT()))
    assert copper.get_stress() == pytest.approx(wanted, abs=1e-8)
    molecule_of_copper = Atoms("Cu2", [[0, 0, 0], [2.3, 0, 0]], calculator=copper.calc)
    with pytest.raises(PropertyNotImplementedError, match="set cell and pbc"):
        molecule_of_copper.get_stress()


def test_calculator_raises_where_there_is_no_energy(morse):
    calculator = EnergyCalculator(morse(max_atoms=2))
    with pytest.raises(CalculationFailed):
        calculator.get_potential_energy(molecule("H2O"))
    assert np.isfinite(calculator.get_potential_energy(molecule("N2")))
