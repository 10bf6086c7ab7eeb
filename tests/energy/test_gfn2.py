import numpy as np
import pytest
from ase.build import molecule
from tblite.ase import TBLite

from molrl.energy import CountedEnergy, load_energy
from molrl.energy.gfn2 import GFN2Energy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def model():
    return load_energy("gfn2")


@pytest.mark.parametrize("name", ["CH3OH", "H2O", "C6H6"])
def test_agrees_with_the_calculator_of_tblite(model, name):
    atoms = molecule(name)
    atoms.rattle(0.03, seed=1)
    out = model.evaluate(atoms, forces=True)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    assert float(out.energy[0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-5)
    assert np.allclose(out.forces.numpy(), atoms.get_forces(), atol=1e-4)


def test_spin_is_the_lowest_that_parity_allows(model):
    """CH3 has an odd electron: as a doublet through tblite's own interface."""
    atoms = molecule("CH3")
    out = model.evaluate(atoms)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0, multiplicity=2)
    assert float(out.energy[0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-5)


def test_charge_is_the_batch_s(model):
    atoms = molecule("H2O")
    atoms.info["charge"] = 1
    out = model.evaluate(atoms)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0, charge=1, multiplicity=2)
    assert float(out.energy[0]) == pytest.approx(atoms.get_potential_energy(), abs=1e-5)


def test_failed_scf_is_named_and_touches_no_other(model):
    stretched = (np.array([6, 9]), np.array([[0, 0, 0], [0, 0, 4.0]]))
    water = molecule("H2O")
    batch = MoleculeBatch.from_arrays([(water.numbers, water.positions), stretched])
    out = model.evaluate(batch, forces=True)
    assert list(out.failures) == [1]
    assert "SCF not converged" in out.failures[1]
    assert np.isnan(out.energy[1])
    assert float(out.energy[0]) == pytest.approx(float(model.evaluate(water).energy[0]), abs=1e-5)
    assert np.isfinite(out.forces[:3]).all()


def test_bad_input_is_refused(model):
    atoms = molecule("H2O")
    atoms.positions[1] = np.nan
    with pytest.raises(InputError, match="no finite number"):
        model.evaluate(atoms)
    atoms = molecule("H2O")
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(InputError, match="two atoms in one place"):
        model.evaluate(atoms)


def test_calls_and_molecules_are_counted():
    model = CountedEnergy(GFN2Energy(n_workers=1))
    model.evaluate([molecule("H2O"), molecule("CH4")])
    model.evaluate(molecule("H2O"))
    assert (model.calls, model.evaluations) == (2, 3)
    model.close()


def test_an_interrupt_leaves_no_answers_behind(monkeypatch):
    """The answers of a call that was broken off must not be taken for those of the next."""

    def interrupt(*_):
        raise KeyboardInterrupt

    model = GFN2Energy(n_workers=2)
    water, methane = molecule("H2O"), molecule("CH4")
    expected = float(model.evaluate(methane).energy[0])
    with monkeypatch.context() as patch:
        patch.setattr("molrl.energy.pool.wait", interrupt)  # with all molecules at work
        with pytest.raises(KeyboardInterrupt):
            model.evaluate([water] * 32)
    energies = model.evaluate([methane] * 32).energy.tolist()
    assert energies == pytest.approx([expected] * 32, abs=1e-5)
    model.close()
