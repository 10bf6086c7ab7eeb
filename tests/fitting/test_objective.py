"""The objective of a fit: its value, its gradient, and its compiled form."""

import math

import pytest
import torch
from ase.build import molecule

from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.potential import Potential
from molrl.errors import InputError
from molrl.fitting.objective import Objective, with_dummy_molecule
from molrl.molecules import MoleculeBatch

CONFIG = MaceConfig(elements=(1, 6, 7, 8, 16), channels=8)
# No sulfur in the first, one sulfur atom in the second, atoms with one neighbour in the third.
BATCHES = (
    ("CH3OH", "CH4", "HCN", "C6H6") * 2,
    ("H2O", "CO2", "CH3CH2OH", "CH3SH") * 2,
    ("H2", "CO", "N2", "O2") * 2,
)


@pytest.fixture(scope="module")
def potential():
    torch.manual_seed(0)
    return Potential(Mace(CONFIG), (0.0,) * 5)


def labelled(names):
    """Return distorted molecules with random energies, forces and largest forces."""
    generator = torch.Generator().manual_seed(len("".join(names)))
    molecules = MoleculeBatch.from_ase([molecule(name) for name in names])
    molecules.positions.add_(0.05 * torch.randn(molecules.positions.shape, generator=generator))
    energy = torch.randn(len(molecules), generator=generator)
    forces = torch.randn(len(molecules.numbers), 3, generator=generator)
    return molecules, energy, forces, 30 * torch.rand(len(molecules), generator=generator)


def loss_and_gradient(objective, batch):
    objective.potential.network.zero_grad()
    loss, energy_error, force_error = objective(*batch)
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in objective.potential.network.parameters()])
    return loss.detach(), energy_error, force_error, gradient


def test_predict_gives_forces_that_are_the_negative_gradient(potential):
    molecules, *_ = labelled(BATCHES[0])
    graph = potential.graph(molecules, torch.float64)
    double = Potential(Mace(CONFIG).double(), (0.0,) * 5)
    double.network.load_state_dict(potential.network.state_dict())
    _, forces = double.predict(graph)
    step = torch.randn(forces.shape, generator=torch.Generator().manual_seed(1)).double()
    ends = []
    for side in (-1e-4, 1e-4):
        moved = MoleculeBatch(
            molecules.numbers, molecules.positions.double() + side * step, molecules.n_atoms
        )
        ends.append(double.predict(double.graph(moved, torch.float64)).energy.sum())
    torch.testing.assert_close((ends[0] - ends[1]) / 2e-4, (forces * step).sum(), rtol=1e-6, atol=0)


def test_objective_of_exact_labels_is_zero_with_a_finite_gradient(potential):
    objective = Objective(potential, 12.0, 5.0, compiled=False)
    molecules, _, _, largest = labelled(BATCHES[0])
    found = potential.predict(potential.graph(molecules, torch.float32))
    energy, forces = found.energy, found.forces
    loss, energy_error, force_error, gradient = loss_and_gradient(
        objective, (molecules, energy.detach(), forces.detach(), largest)
    )
    assert loss == pytest.approx(0, abs=1e-6)
    assert energy_error == pytest.approx(0, abs=1e-5)  # eV/atom, of energies in float32
    assert force_error < 1e-5
    assert torch.isfinite(gradient).all()


def test_objective_is_pseudo_huber_with_less_weight_for_high_forces(potential):
    objective = Objective(potential, 12.0, 5.0, compiled=False)
    molecules = MoleculeBatch.from_ase([molecule("H2"), molecule("CH3OH")])
    found = potential.predict(potential.graph(molecules, torch.float32))
    energy, forces = found.energy, found.forces
    energy, forces = energy.detach(), forces.detach()
    wrong_by = torch.tensor([0.3, -0.6])  # eV: 0.15 and 0.1 per atom
    pushed = forces + 0.2 * torch.tensor([0.0, 0.6, 0.8])  # eV/Å
    largest = torch.tensor([0.0, 30.0])  # eV/Å: weights of 1 and 1/4
    loss, energy_error, force_error = objective(molecules, energy + wrong_by, pushed, largest)

    def huber(x, width):
        return width * (math.sqrt(1 + (x / width) ** 2) - 1)

    in_energy = huber(0.15 * 2**0.5, 0.02) + huber(0.1 / 4 * 6**0.5, 0.02)
    in_forces = 2 * huber(0.2, 0.05) + 6 * huber(0.2 / 4, 0.05)
    assert float(loss.detach()) == pytest.approx(12 * in_energy / 2 + 5 * in_forces / 8, rel=1e-4)
    assert float(energy_error) == pytest.approx(0.125, rel=1e-4)
    assert float(force_error) == pytest.approx(0.2, rel=1e-4)


def test_with_dummy_molecule_changes_no_other_and_leaves_no_size_below_two(potential):
    molecules, *_ = labelled(BATCHES[0])
    both = with_dummy_molecule(molecules, CONFIG.elements)
    assert (torch.bincount(both.numbers)[list(CONFIG.elements)] >= 2).all()
    alone = MoleculeBatch.from_ase([molecule("H2")])
    graph = potential.graph(with_dummy_molecule(alone, CONFIG.elements), torch.float32)
    assert min(*graph.slot_pair.shape, *graph.pairs.shape, *graph.counts) >= 2
    found = potential.predict(potential.graph(molecules, torch.float32))
    energy, forces = found.energy, found.forces
    found = potential.predict(potential.graph(both, torch.float32))
    energy_of_both, forces_of_both = found.energy, found.forces
    torch.testing.assert_close(energy_of_both[:-1], energy)
    torch.testing.assert_close(forces_of_both[: len(forces)], forces)


def test_objective_names_a_missing_compiler(potential, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match="no-such-compiler"):
        Objective(potential, 1.0, 1.0, compiled=True)


@pytest.mark.slow
def test_objective_compiled_once_is_the_same_for_other_sizes(potential):
    plain = Objective(potential, 12.0, 5.0, compiled=False)
    compiled = Objective(potential, 12.0, 5.0, compiled=True)
    for names in BATCHES:
        batch = labelled(names)
        with torch.compiler.set_stance("default" if names is BATCHES[0] else "fail_on_recompile"):
            found = loss_and_gradient(compiled, batch)
        for ours, expected in zip(found, loss_and_gradient(plain, batch), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
