import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.units import kB
from tblite.ase import TBLite

from molrl.energy import CountedEnergy, load_energy
from molrl.energy.gfn2 import GFN2Energy
from molrl.energy.semiempirical import patience
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def model():
    return load_energy("gfn2")


@pytest.mark.parametrize("name", ["CH3OH", "H2O", "C6H6"])
def test_gfn2_agrees_with_the_calculator_of_tblite(model, name):
    atoms = molecule(name)
    atoms.rattle(0.03, seed=1)
    out = model.evaluate(atoms, forces=True)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    assert float(out.energy[0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
    assert np.allclose(out.forces.numpy(), atoms.get_forces(), atol=1e-4)


def test_gfn2_takes_the_lowest_spin_that_parity_allows(model):
    """CH3 has an unpaired electron, so it is a doublet."""
    atoms = molecule("CH3")
    out = model.evaluate(atoms)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0, multiplicity=2)
    assert float(out.energy[0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-5)


def test_gfn2_takes_the_charge_of_the_batch(model):
    atoms = molecule("H2O")
    atoms.info["charge"] = 1
    out = model.evaluate(atoms)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0, charge=1, multiplicity=2)
    assert float(out.energy[0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-5)


def test_gfn2_reports_a_failed_scf_and_leaves_other_molecules_unchanged(model):
    stretched = (np.array([6, 9]), np.array([[0, 0, 0], [0, 0, 4.0]]))
    water = molecule("H2O")
    batch = MoleculeBatch.from_arrays([(water.numbers, water.positions), stretched])
    out = model.evaluate(batch, forces=True)
    assert list(out.failures) == [1]
    assert "SCF not converged" in out.failures[1]
    assert np.isnan(out.energy[1])
    assert float(out.energy[0]) == pytest.approx(float(model.evaluate(water).energy[0]), abs=1e-5)
    assert np.isfinite(out.forces[:3]).all()


def test_gfn2_refuses_nonfinite_coordinates_and_coincident_atoms(model):
    atoms = molecule("H2O")
    atoms.positions[1] = np.nan
    with pytest.raises(InputError, match="not a finite number"):
        model.evaluate(atoms)
    atoms = molecule("H2O")
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(InputError, match="two atoms in one place"):
        model.evaluate(atoms)


def test_counted_energy_counts_calls_and_molecules():
    model = CountedEnergy(GFN2Energy(n_workers=1))
    model.evaluate([molecule("H2O"), molecule("CH4")])
    model.evaluate(molecule("H2O"))
    assert (model.calls, model.evaluations) == (2, 3)
    model.close()


def test_gfn2_discards_the_answers_of_an_interrupted_call(monkeypatch):
    """Late answers of an interrupted call must not be taken for those of the next call."""

    def interrupt(*_):
        raise KeyboardInterrupt

    model = GFN2Energy(n_workers=2)
    water, methane = molecule("H2O"), molecule("CH4")
    expected = float(model.evaluate(methane).energy[0])
    with monkeypatch.context() as patch:
        patch.setattr("molrl.energy.pool.wait", interrupt)  # while molecules are being computed
        with pytest.raises(KeyboardInterrupt):
            model.evaluate([water] * 32)
    energies = model.evaluate([methane] * 32).energy.tolist()
    assert energies == pytest.approx([expected] * 32, abs=1e-5)
    model.close()


@pytest.mark.parametrize("charge", [0, 1])
def test_gfn2_energies_and_charges_of_atoms_add_up(model, charge):
    images = [molecule("CH3OH"), molecule("CH3"), molecule("SO2")]
    batch = MoleculeBatch.from_ase(images).charged([charge] * 3)
    out = model.evaluate(batch, properties=["energies", "charges"])
    energies, charges = out.properties["energies"], out.properties["charges"]
    assert energies.shape == charges.shape == batch.numbers.shape
    assert batch.sum_atoms(energies).tolist() == pytest.approx(out.energy.tolist(), abs=1e-6)
    assert batch.sum_atoms(charges).tolist() == pytest.approx([charge] * 3, abs=1e-6)
    assert float(charges[1]) < -0.1  # the oxygen of methanol


def test_gfn2_free_energy_falls_with_the_temperature_by_its_entropy(model):
    """Between two H atoms far apart, four spin-orbitals of one energy are half filled."""
    apart = MoleculeBatch.from_arrays([(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 20.0]]))])
    energies = [float(model.at(t).evaluate(apart).energy[0]) for t in (1000.0, 2000.0, 3000.0)]
    entropy = 4 * np.log(2) * kB  # each spin-orbital adds ln 2
    assert np.diff(energies) == pytest.approx(-1000.0 * entropy, rel=1e-3)


def test_gfn2_at_another_temperature_has_another_hash_and_atoms(model):
    hot = model.at(5000.0)
    assert hot.hash != model.hash
    assert model.at(300.0).hash == model.hash
    assert hot.atom_energies()[6] < model.atom_energies()[6] - 0.1
    with pytest.raises(InputError, match="above 0 K"):
        model.at(0.0)


def test_gfn2_refuses_a_molecule_with_too_many_atoms_before_it_begins(model):
    water, crowd = MoleculeBatch.from_ase(molecule("H2O")), Atoms("H2001", np.eye(2001, 3))
    with pytest.raises(InputError, match="molecule 1 has 2001 atoms; energy model 'gfn2' takes"):
        model.evaluate(MoleculeBatch.cat([water, MoleculeBatch.from_ase(crowd)]))


def test_patience_grows_with_the_cube_of_the_size():
    assert [patience(n) for n in (1, 400, 800)] == [1.0, 1.0, 8.0]
