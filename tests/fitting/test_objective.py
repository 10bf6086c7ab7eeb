"""The objective of a fit: its value, its gradient, and its compiled form."""

import math

import pytest
import torch
from ase.build import molecule

from molrl.energy.networks.mace.network import Mace, MaceConfig
from molrl.energy.networks.potential import Potential
from molrl.errors import InputError
from molrl.fitting.config import LossWeights
from molrl.fitting.data.dataset import Dataset
from molrl.fitting.objective import Objective, with_dummy_molecule
from molrl.molecules import MoleculeBatch

WEIGHTS = LossWeights(energy_weight=12.0, force_weight=5.0)
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
    """Return distorted molecules with random labels, as a dataset, and their energies."""
    generator = torch.Generator().manual_seed(len("".join(names)))
    molecules = MoleculeBatch.from_ase([molecule(name) for name in names])
    molecules.positions.add_(0.05 * torch.randn(molecules.positions.shape, generator=generator))
    forces = 30 * torch.rand(len(molecules.numbers), 1, generator=generator).expand(-1, 3)
    energy = torch.randn(len(molecules), generator=generator)
    return dataset(molecules, energy, forces), energy


def dataset(molecules, energy, forces, **labels):
    """Return a dataset of one kind."""
    nothing = torch.zeros(len(molecules), dtype=torch.int64)
    return Dataset(
        molecules=molecules.to(dtype=torch.float32),
        kinds=("distorted",),
        identities=("C",),
        energy=energy.double(),
        forces=forces.float(),
        kind=nothing,
        split=nothing,
        identity=nothing,
        **labels,
    )


def loss_and_gradient(objective, batch):
    objective.potential.network.zero_grad()
    loss, errors = objective(*batch)
    loss.backward()
    gradient = [p.grad for p in objective.potential.network.parameters() if p.grad is not None]
    gradient = torch.cat([g.flatten() for g in gradient])
    return loss.detach(), errors["energy_error"], errors["force_error"], gradient


def test_predict_gives_forces_that_are_the_negative_gradient(potential):
    molecules = labelled(BATCHES[0])[0].molecules
    graph = potential.graph(molecules, torch.float64)
    double = Potential(Mace(CONFIG).double(), (0.0,) * 5)
    double.network.load_state_dict(potential.network.state_dict())
    forces = double.predict(graph).forces
    step = torch.randn(forces.shape, generator=torch.Generator().manual_seed(1)).double()
    ends = []
    for side in (-1e-4, 1e-4):
        moved = MoleculeBatch(
            molecules.numbers, molecules.positions.double() + side * step, molecules.n_atoms
        )
        ends.append(double.predict(double.graph(moved, torch.float64)).energy.sum())
    torch.testing.assert_close((ends[0] - ends[1]) / 2e-4, (forces * step).sum(), rtol=1e-6, atol=0)


def test_objective_of_exact_labels_is_zero_with_a_finite_gradient(potential):
    objective = Objective(potential, WEIGHTS, compiled=False)
    molecules = labelled(BATCHES[0])[0].molecules
    found = potential.predict(potential.graph(molecules, torch.float32))
    energy = found.energy.detach()
    exact = dataset(molecules, energy, found.forces.detach())
    loss, energy_error, force_error, gradient = loss_and_gradient(objective, (exact, energy))
    assert loss == pytest.approx(0, abs=1e-6)
    assert energy_error == pytest.approx(0, abs=1e-5)  # eV/atom, of energies in float32
    assert force_error < 1e-5
    assert torch.isfinite(gradient).all()


def huber(x, width):
    return width * (math.sqrt(1 + (x / width) ** 2) - 1)


def test_objective_is_pseudo_huber_with_less_weight_for_high_forces(potential):
    objective = Objective(potential, WEIGHTS, compiled=False)
    molecules = MoleculeBatch.from_ase([molecule("H2"), molecule("CH3OH")])
    found = potential.predict(potential.graph(molecules, torch.float32))
    energy = found.energy.detach() + torch.tensor([0.3, -0.6])  # eV: 0.15 and 0.1 per atom
    forces = found.forces.detach().clone()
    forces[2:] = torch.tensor([0.0, 0.0, 30.0])  # eV/Å: a weight of 1/4
    loss, errors = objective(dataset(molecules, energy, forces), energy)
    wrong = (found.forces.detach() - forces).norm(dim=-1)
    soft = [1 / (1 + float(f.norm(dim=-1).max()) / 10) for f in (forces[:2], forces[2:])]
    in_energy = sum(
        huber(error * weight * n**0.5, 0.02)
        for error, weight, n in zip((0.15, 0.1), soft, (2, 6), strict=True)
    )
    on_atoms = [soft[0]] * 2 + [soft[1]] * 6
    in_forces = sum(huber(float(w) * s, 0.05) for w, s in zip(wrong, on_atoms, strict=True))
    assert float(loss.detach()) == pytest.approx(12 * in_energy / 2 + 5 * in_forces / 8, rel=1e-4)
    assert float(errors["energy_error"]) == pytest.approx(0.125, rel=1e-4)
    assert float(errors["force_error"]) == pytest.approx(float(wrong.mean()), rel=1e-4)


@pytest.mark.parametrize(("above", "is_wrong"), [(-0.5, True), (0.5, False)])
def test_objective_takes_a_lower_bound_as_an_inequality(potential, above, is_wrong):
    molecules = MoleculeBatch.from_ase(molecule("CH3OH"))
    energy = potential.predict(potential.graph(molecules, torch.float32)).energy.detach() - above
    bound = torch.tensor([True])
    data = dataset(molecules, energy, torch.zeros(6, 3), bound=bound)
    loss, errors = Objective(potential, WEIGHTS, compiled=False)(data, energy)
    assert (float(loss.detach()) > 1e-3) == is_wrong
    assert (float(errors["energy_error"]) > 1e-3) == is_wrong


def test_objective_counts_the_error_of_an_interaction(potential):
    both = molecule("CH3OH")
    other = molecule("H2CO")
    other.translate([0, 0, 3.2])
    molecules = MoleculeBatch.from_ase([both + other, both, other])
    found = potential.predict(potential.graph(molecules, torch.float32))
    energy = found.energy.detach()
    nan = torch.nan
    labels = {
        "part": torch.tensor([0] * 6 + [1] * 4 + [0] * 10),
        "interaction": torch.tensor([float(energy[0] - energy[1] - energy[2]) + 0.2, nan, nan]),
    }
    data = dataset(molecules, energy, found.forces.detach(), **labels)
    loss, _ = Objective(potential, WEIGHTS, compiled=False)(data, energy)
    soft = 1 / (1 + float(data.largest_force()[0]) / 10)
    wanted = WEIGHTS.interaction_weight * huber(0.2 * soft, 0.03) / 3
    assert float(loss.detach()) == pytest.approx(wanted, rel=1e-3)


def test_objective_learns_site_energies_and_dipoles_where_they_are_known():
    torch.manual_seed(1)
    charged = Potential(Mace(CONFIG.model_copy(update={"charges": True})), (0.0,) * 5)
    with torch.no_grad():
        charged.network.charge_readout.normal_()
    molecules = MoleculeBatch.from_ase([molecule("CH3OH"), molecule("H2CO")])
    found = charged.predict(charged.graph(molecules, torch.float32))
    energy = found.energy.detach()
    site = found.site_energy.detach().clone()
    dipole = charged_dipole(found.charges.detach(), molecules)
    objective = Objective(charged, WEIGHTS, compiled=False)

    def loss(site_energy, dipole):
        labels = {"site_energy": site_energy, "dipole": dipole}
        data = dataset(molecules, energy, found.forces.detach(), **labels)
        return float(objective(data, energy)[0].detach())

    assert loss(site, dipole) == pytest.approx(0, abs=1e-5)
    assert loss(site + 0.1, dipole) > 1e-3
    assert loss(site, dipole + 0.1) > 1e-3
    assert loss(site * torch.nan, dipole * torch.nan) == pytest.approx(0, abs=1e-5)


def charged_dipole(charges, molecules):
    moments = charges[:, None] * molecules.positions.float()
    return torch.zeros(len(molecules), 3).index_add(0, molecules.molecule, moments)


def test_with_dummy_molecule_changes_no_other_and_leaves_no_size_below_two(potential):
    molecules = labelled(BATCHES[0])[0].molecules
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
        Objective(potential, WEIGHTS, compiled=True)


@pytest.mark.slow
def test_objective_compiled_once_is_the_same_for_other_sizes(potential):
    plain = Objective(potential, WEIGHTS, compiled=False)
    compiled = Objective(potential, WEIGHTS, compiled=True)
    for names in BATCHES:
        batch = labelled(names)
        with torch.compiler.set_stance("default" if names is BATCHES[0] else "fail_on_recompile"):
            found = loss_and_gradient(compiled, batch)
        for ours, expected in zip(found, loss_and_gradient(plain, batch), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
