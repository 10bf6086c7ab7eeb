from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.constraints import FixAtoms, FixBondLength
from scipy.spatial.transform import Rotation

from molrl.chemistry.geometry import rmsd
from molrl.energy import CountedEnergy, EnergyModel, EnergyOutput, load_energy
from molrl.energy.relaxation import FORCE_TOLERANCE, relax
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.neighbors import all_pairs

NAMES = ["CH3OH", "CH3CH2OH", "H2O", "CH3CONH2"]


class LennardJones(EnergyModel):
    """Lennard-Jones pairs, ε = 1 eV and σ = 1.5 Å; molecules with an oxygen atom fail."""

    name = "lj"
    hash = "lj"
    elements = (1, 6, 8)

    def _evaluate(self, molecules, wanted):
        positions = molecules.positions.detach().double().requires_grad_()
        one, other = all_pairs(molecules.n_atoms)
        sixth = (1.5 / (positions[one] - positions[other]).norm(dim=-1)) ** 6
        pair = positions.new_zeros(len(positions)).index_add(0, one, 4 * (sixth**2 - sixth))
        energy = molecules.sum_atoms(pair)
        (gradient,) = torch.autograd.grad(energy.sum(), positions)
        energy = energy.detach()
        energy[molecules.sum_atoms((molecules.numbers == 8).long()) > 0] = torch.nan
        return EnergyOutput(energy, forces=-gradient)


def distorted(names, sigma=0.1, seed=0):
    batch = MoleculeBatch.from_ase([molecule(name) for name in names])
    noise = torch.randn(
        batch.positions.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return replace(batch, positions=batch.positions + sigma * noise)


@pytest.fixture(scope="module")
def gfn2():
    return load_energy("gfn2")


@pytest.fixture(scope="module")
def relaxed(gfn2):
    return relax(distorted(NAMES), gfn2)


def test_relax_returns_distorted_molecules_to_their_minimum(gfn2, relaxed):
    from_whole = relax(distorted(NAMES, sigma=0), gfn2)
    assert relaxed.converged.all()
    assert from_whole.converged.all()
    torch.testing.assert_close(relaxed.energy, from_whole.energy, atol=2e-3, rtol=0)
    assert (relaxed.start_energy - relaxed.energy > 0.3).all()


def test_relax_reports_the_energies_and_forces_of_the_model(gfn2, relaxed):
    output = gfn2.evaluate(relaxed.molecules, forces=True)
    torch.testing.assert_close(relaxed.energy, output.energy, atol=1e-4, rtol=0)
    largest = torch.stack(
        [
            force.norm(dim=-1).max()
            for force in output.forces.split(relaxed.molecules.n_atoms.tolist())
        ]
    )
    torch.testing.assert_close(relaxed.max_force, largest, atol=1e-4, rtol=0)
    assert (largest < FORCE_TOLERANCE + 1e-4).all()


def test_relax_leaves_relaxed_molecules_unchanged(gfn2, relaxed):
    # A second SCF gives slightly different forces, hence the margin.
    again = relax(relaxed.molecules, gfn2, force_tolerance=FORCE_TOLERANCE + 1e-4)
    assert (again.steps == 0).all()
    assert torch.equal(again.molecules.positions, relaxed.molecules.positions)


def test_relax_is_equivariant_under_rotation(gfn2, relaxed):
    start = distorted(NAMES)
    turn = torch.from_numpy(Rotation.random(random_state=1).as_matrix())
    turned = relax(replace(start, positions=start.positions @ turn.T + 2.0), gfn2)
    torch.testing.assert_close(turned.energy, relaxed.energy, atol=1e-3, rtol=0)
    assert rmsd(turned.molecules, relaxed.molecules).max() < 0.05


def test_relax_gives_the_same_alone_and_in_a_batch(gfn2, relaxed):
    # Rounding is amplified along a path: compare the first steps closely, and the minima loosely.
    begun, alone = (relax(m, gfn2, max_steps=4) for m in (distorted(NAMES), distorted(NAMES)[[1]]))
    torch.testing.assert_close(
        alone.molecules.positions, begun.molecules[[1]].positions, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(alone.energy, begun.energy[[1]], atol=1e-4, rtol=0)
    alone = relax(distorted(NAMES)[[1]], gfn2)
    torch.testing.assert_close(alone.energy, relaxed.energy[[1]], atol=1e-3, rtol=0)
    assert rmsd(alone.molecules, relaxed.molecules[[1]]) < 0.05


def test_relax_of_a_large_molecule_among_small_ones_keeps_their_order():
    """They are relaxed in two groups, since Hessians are padded to the largest."""
    names = [*5 * ["CH4"], "H2O", "C60", *20 * ["CH4"]]
    batch, progress = distorted(names), []
    held = torch.zeros(len(batch.positions), dtype=torch.bool)
    held[3] = held[-1] = True
    model = CountedEnergy(LennardJones())
    together = relax(batch, model, max_steps=4, fixed=held, report=lambda *n: progress.append(n))
    assert list(together.failures) == [5]
    for i in (0, 6, 26):
        start = int(batch.starts[i])
        own = held[start : start + int(batch.n_atoms[i])]
        alone = relax(batch[[i]], LennardJones(), max_steps=4, fixed=own)
        torch.testing.assert_close(together.molecules[[i]].positions, alone.molecules.positions)
        for name in ("energy", "max_force", "steps"):
            torch.testing.assert_close(getattr(together, name)[[i]], getattr(alone, name))
    finished = [done for done, _ in progress]
    assert finished == sorted(finished)
    assert {total for _, total in progress} == {len(names)}


def test_relax_makes_one_energy_call_per_step(gfn2):
    counted = CountedEnergy(gfn2)
    result = relax(distorted(["CH3OH"] * 5), counted)
    assert counted.calls == 1 + result.steps.max()
    assert counted.evaluations == 5 + result.steps.sum()


@pytest.fixture(scope="module")
def clashes():
    rng = np.random.default_rng(0)
    return MoleculeBatch.from_arrays(
        (np.full(7, 6), 0.8 * rng.normal(size=(7, 3))) for _ in range(20)
    )


def test_relax_resolves_clashes(clashes):
    result = relax(clashes, LennardJones())
    assert result.converged.all()
    assert (result.energy < -10).all()


def test_relax_never_raises_the_energy(clashes):
    energies = torch.stack(
        [relax(clashes, LennardJones(), max_steps=n).energy for n in range(0, 40, 2)]
    )
    assert (energies.diff(dim=0) <= 2e-4).all()


class SinglePrecision(LennardJones):
    """A model of a user that returns float32."""

    def _evaluate(self, molecules, wanted):
        found = super()._evaluate(molecules, wanted)
        return EnergyOutput(found.energy.float(), forces=found.forces.float())


def test_relax_takes_energies_and_forces_in_single_precision(clashes):
    result = relax(clashes[:3], SinglePrecision(), force_tolerance=0.05)
    assert result.converged.all()
    assert result.energy.dtype == result.molecules.positions.dtype == torch.float64


def test_relax_finds_the_analytic_minimum_of_two_atoms():
    pair = MoleculeBatch.from_ase(Atoms("CC", [[0, 0, 0], [1.4, 0, 0]]))
    result = relax(pair, LennardJones(), force_tolerance=1e-6)
    positions = result.molecules.positions
    assert result.energy[0] == pytest.approx(-1)
    assert (positions[1] - positions[0]).norm() == pytest.approx(1.5 * 2 ** (1 / 6), abs=1e-6)


def test_relax_reports_that_it_stopped_early(gfn2, relaxed):
    early = relax(distorted(NAMES), gfn2, max_steps=2)
    assert not early.converged.any()
    assert (early.steps == 2).all()
    assert (early.energy > relaxed.energy).all()


def test_relax_reports_progress_until_all_have_finished():
    start = MoleculeBatch.from_ase([molecule("CH4"), molecule("H2O"), Atoms("H")])
    seen = []
    relax(start, LennardJones(), max_steps=600, report=lambda *counts: seen.append(counts))
    assert seen[0] == (2, 3)  # one has failed, one is a single atom
    assert seen[-1] == (3, 3)


def test_relax_leaves_a_failed_molecule_and_relaxes_the_others():
    start = MoleculeBatch.from_ase([molecule("CH4"), molecule("H2O"), Atoms(), Atoms("H")])
    result = relax(start, LennardJones(), max_steps=600)
    assert list(result.failures) == [1]
    assert torch.isnan(result.energy).tolist() == [False, True, False, False]
    assert result.converged.tolist() == [True, False, True, True]
    assert (result.molecules[1].positions == start[1].positions).all()


def test_relax_takes_an_empty_batch_and_refuses_coincident_atoms(gfn2):
    assert len(relax(MoleculeBatch.from_arrays([]), gfn2).energy) == 0
    twice = Atoms("HH", [[0, 0, 0], [0, 0, 0]])
    with pytest.raises(InputError, match="in one place"):
        relax(MoleculeBatch.from_ase(twice), gfn2)


def test_relax_holds_fixed_atoms_exactly():
    batch = distorted(["CH3OH", "H2O"])
    fixed = torch.zeros(len(batch.numbers), dtype=torch.bool)
    fixed[[0, 1, 6]] = True
    result = relax(batch, "mace-small", fixed=fixed)
    moved = (result.molecules.positions != batch.positions.double()).any(-1)
    assert torch.equal(moved, ~fixed)
    assert result.converged.all()
    assert (result.energy < result.start_energy).all()
    free = relax(batch, "mace-small")
    assert (result.energy > free.energy).all()


def test_relax_holds_the_atoms_that_ase_fixes():
    water, methane = molecule("H2O"), molecule("CH4")
    water.rattle(0.1, seed=0)
    water.set_constraint(FixAtoms([0, 2]))
    moved = relax([methane, water], "mace-small").molecules[1].positions.numpy() - water.positions
    assert not np.any(moved[[0, 2]])
    assert np.any(moved[1])


@pytest.mark.parametrize("fixed", [[1, 0, 0], [0, 2], [True, False]], ids=str)
def test_relax_refuses_fixed_atoms_that_are_not_truth_values_of_all(fixed):
    for given in (torch.tensor(fixed), np.array(fixed), fixed):
        with pytest.raises(InputError, match="fixed must be one truth value of each of the 3 ato"):
            relax(molecule("H2O"), "mace-small", fixed=given)


def test_relax_takes_fixed_atoms_as_numpy_has_them():
    fixed = np.array([True, False, False])
    found, same = (relax(molecule("H2O"), "mace-small", fixed=f) for f in (fixed, fixed.tolist()))
    assert torch.equal(found.molecules.positions, same.molecules.positions)
    assert found.molecules.positions[0].tolist() == molecule("H2O").positions[0].tolist()


def test_relax_refuses_other_constraints():
    water = molecule("H2O")
    water.set_constraint(FixBondLength(0, 1))
    with pytest.raises(InputError, match=r"molecule 0 has the constraint FixBond.*only FixAtoms"):
        relax(water, "mace-small")


class Gapped(EnergyModel):
    """A Morse curve at 0.74 Å between two atoms, without an energy from 1.05 to 1.19 Å."""

    name = hash = "gapped"
    elements = (1,)

    def _evaluate(self, molecules, wanted):
        x = molecules.positions.double().view(-1, 2, 3)
        apart = x[:, 0] - x[:, 1]
        length = apart.norm(dim=-1)
        decay = torch.exp(-1.5 * (length - 0.74))
        energy = 2 * (1 - decay) ** 2
        energy[(length > 1.05) & (length < 1.19)] = torch.nan
        pull = (-2 * 2 * 1.5 * (1 - decay) * decay / length)[:, None] * apart
        return EnergyOutput(energy, forces=torch.stack([pull, -pull], 1).view(-1, 3))


def test_relax_gets_past_lengths_at_which_the_energy_fails():
    start = Atoms("H2", [[0, 0, 0], [0, 0, 1.2]])
    result = relax(start, Gapped())
    assert result.converged.all()
    ends = result.molecules.positions
    assert float((ends[0] - ends[1]).norm()) == pytest.approx(0.74, abs=0.01)
