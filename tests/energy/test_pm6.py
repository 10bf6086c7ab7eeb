"""PM6 reproduces the energies and rewards of MolGym's tests and of its reference structures."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from ase.units import Hartree

import molrl
from molrl.chemistry.fragments import load_fragment
from molrl.energy.relaxation import relax
from molrl.envs.config import Rules
from molrl.envs.design import MolDesignEnv
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

needs_sparrow = pytest.mark.skipif(
    find_spec("scine_sparrow") is None, reason="scine-sparrow is not installed"
)
MOLGYM = Rules.named("molgym")

# Hartree: returns of one relaxed isomer each, with MolGym's minimiser and multiplicity rule.
RETURNS = {
    "O": 0.5285,
    "N": 0.5808,
    "C": 0.6953,
    "C#N": 0.7003,
    "C#C": 0.7817,
    "C=O": 0.8186,
    "FC(F)(F)F": 0.8129,
    "N#CC#N": 1.2222,
    "CO": 1.0286,
    "C(=O)N": 1.2600,
    "O=CC=O": 1.4781,
    "CC(N)=O": 1.7926,
    "c1ccccc1": 2.5206,
    "SF6": 0.8149,
    "IF5": 0.5249,
    "SOF4": 0.9201,
}
AXES = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
COMPLEXES = {
    "SF6": ([16, *[9] * 6], np.vstack([np.zeros(3), 1.56 * AXES])),
    "IF5": ([53, *[9] * 5], np.vstack([np.zeros(3), 1.86 * AXES[:5]])),
    "SOF4": (
        [16, 8, 9, 9, 9, 9],
        [[0, 0, 0], [1.42, 0, 0], [-0.7, 1.4, 0], [-0.7, -1.4, 0], [0, 0, 1.6], [0, 0, -1.6]],
    ),
}


@pytest.fixture(scope="module")
def pm6():
    model = molrl.load_energy("pm6")
    yield model
    model.close()


@pytest.mark.skipif(find_spec("scine_sparrow") is not None, reason="scine-sparrow is installed")
def test_load_energy_without_sparrow_says_what_to_install():
    with pytest.raises(InputError, match=r"pip install 'molrl\[pm6\]'"):
        molrl.load_energy("pm6")


def line_of_hydrogens(energy, n):
    """Rewards in Hartree of n hydrogen atoms 1 Å apart, placed in a row."""
    rules = MOLGYM.model_copy(update={"monovalent_distance": None})
    env = MolDesignEnv(bag=f"H{n}", elements=["H"], energy=energy, rules=rules)
    env.reset()
    return [
        env.step(np.array([max(0, i - 1), 0, 1.0, 0, 0], np.float32))[1] / Hartree for i in range(n)
    ]


# PM6 is a fixed set of parameters in eV. Versions of Sparrow may differ in the conversion of eV to
# Hartree, by less than a millionth, and in the convergence of the SCF.
CONVERSION = 2e-5  # Hartree


@needs_sparrow
def test_pm6_rewards_hydrogen_as_molgym_does(pm6):
    assert line_of_hydrogens(pm6, 2) == pytest.approx([0.0, 0.1696435], abs=CONVERSION)
    assert sum(line_of_hydrogens(pm6, 3)) == pytest.approx(0.2141968, abs=CONVERSION)


@needs_sparrow
def test_pm6_energies_are_those_of_molgym(pm6):
    atoms = {z: pm6.atom_energies()[z] / Hartree for z in (1, 6, 8)}
    molgym = {1: -0.4133180865, 6: -4.162353543, 8: -10.37062419}
    assert atoms == pytest.approx(molgym, abs=CONVERSION)
    h2 = MoleculeBatch.from_arrays([(np.array([1, 1]), np.array([[0, 0, 0], [1.2, 0, 0]]))])
    energy = pm6.evaluate(h2).energy.item() / Hartree
    assert energy == pytest.approx(-0.9379853016, abs=CONVERSION)


def geometry(name):
    if name in COMPLEXES:
        numbers, positions = COMPLEXES[name]
        return np.array(numbers), np.array(positions)
    fragment = load_fragment(name)
    return fragment.numbers, fragment.positions


@needs_sparrow
def test_pm6_returns_of_reference_structures_are_those_of_molgym(pm6, rebuild):
    start = MoleculeBatch.from_arrays(geometry(name) for name in RETURNS)
    relaxed = relax(start, pm6, force_tolerance=0.01)
    returns = {}
    for name, (numbers, positions) in zip(RETURNS, relaxed.molecules.arrays(), strict=True):
        order = np.argsort(np.isin(numbers, [1, 9]), kind="stable")
        bag = molrl.Bag(numbers).formula
        env = MolDesignEnv(bag=bag, energy=pm6, rules=MOLGYM)
        rewards, reason = rebuild(env, numbers[order], positions[order])
        assert reason == "complete"
        returns[name] = sum(rewards) / Hartree
    assert returns == pytest.approx(RETURNS, abs=1e-3)


@needs_sparrow
def test_pm6_forces_are_the_negative_gradient(pm6):
    numbers, positions = np.array([8, 1, 1]), np.array([[0, 0, 0], [1, 0, 0], [-0.3, 0.9, 0.1]])
    forces = pm6.evaluate(MoleculeBatch.from_arrays([(numbers, positions)]), forces=True).forces
    step = 1e-3 * torch.eye(9).reshape(9, 3, 3).numpy()
    moved = [(numbers, positions + sign * d) for sign in (1, -1) for d in step]
    energy = pm6.evaluate(MoleculeBatch.from_arrays(moved)).energy.numpy()
    np.testing.assert_allclose(forces.numpy().ravel(), -(energy[:9] - energy[9:]) / 2e-3, atol=2e-3)


@needs_sparrow
def test_pm6_of_iodine_trifluoride_is_that_of_the_ground_state_not_6_ev_above(pm6):
    """Its three bonds, of 2.8 eV each by experiment, are worth more than those of IF and F2."""
    sharp = np.radians(np.arange(80, 102, 2))
    one, none = np.ones_like(sharp), np.zeros_like(sharp)
    shapes = 1.9 * np.stack(
        [
            np.stack([none, none, none], 1),
            np.stack([none, none, one], 1),
            np.stack([np.sin(sharp), none, np.cos(sharp)], 1),
            np.stack([-np.sin(sharp), none, np.cos(sharp)], 1),
        ],
        axis=1,
    )
    trifluoride = [(np.array([53, 9, 9, 9]), shape) for shape in shapes]
    pairs = [
        (np.array([53, 9]), np.array([[0, 0, 0], [0, 0, 1.9]])),
        (np.array([9, 9]), np.array([[0, 0, 0], [0, 0, 1.4]])),
    ]
    batch = MoleculeBatch.from_arrays([*trifluoride, *pairs])
    bound = (pm6.isolated_energy(batch) - pm6.evaluate(batch).energy).numpy()
    assert (bound[:-2] > bound[-2:].sum() + 1).all()
    assert np.abs(np.diff(bound[:-2])).max() < 0.1


@needs_sparrow
def test_pm6_says_that_the_scf_did_not_converge(pm6):
    positions = np.array(
        [[0.7, 2.5, -0.4], [-0.3, 1.3, -1.2], [-0.4, 1.1, 0.8], [0.1, 0.9, -3.7], [1.3, -1.2, -2.2]]
    )
    metals = MoleculeBatch.from_arrays([(np.array([17, 24, 16, 24, 16]), positions)])
    assert pm6.evaluate(metals).failures == {0: "PM6: the SCF did not converge"}


@needs_sparrow
def test_pm6_of_iodine_trifluoride_with_right_angles_is_bound(pm6):
    corner = np.vstack([np.zeros(3), np.diag([1.83, 1.85, 1.82])])
    batch = MoleculeBatch.from_arrays([(np.array([53, 9, 9, 9]), corner)])
    output = pm6.evaluate(batch)
    assert not output.failures
    assert 6 < (pm6.isolated_energy(batch) - output.energy).item() < 9.1


@needs_sparrow
def test_pm6_converges_near_degeneracy(pm6):
    """From the first guess of the density some of such SF3 have no energy."""
    ideal = np.vstack([np.zeros(3), 1.56 * AXES[::2]])
    moved = ideal + np.random.default_rng(0).normal(0, 0.003, (20, 4, 3))
    batch = MoleculeBatch.from_arrays([(np.array([16, 9, 9, 9]), each) for each in moved])
    energy = pm6.evaluate(batch).energy
    assert energy.isfinite().all()
    assert energy.max() - energy.min() < 0.5  # eV
