import copy
import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from ase.build import molecule
from ase.units import Bohr, Hartree

from molrl.energy.networks.config import parse_network
from molrl.energy.networks.frozen import FrozenPotential
from molrl.energy.networks.interface import build_network
from molrl.energy.networks.mace.network import Mace
from molrl.energy.networks.potential import Potential, load_potential, save_potential
from molrl.energy.networks.repulsion import repulsion_parameters
from molrl.energy.networks.terms import (
    FAR,
    bond_limits,
    bonded,
    crowding,
    dispersion,
    dispersion_parameters,
    electrostatics,
    switch,
)
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

ELEMENTS = (1, 6, 7, 8, 9, 16)


def crowd(n, number=1, center=6, radius=1.1):
    """Return one atom in the middle of others on a sphere."""
    turns = torch.arange(n) * math.pi * (3 - 5**0.5)
    z = 1 - 2 * (torch.arange(n) + 0.5) / n
    ring = (1 - z**2).sqrt()
    sphere = radius * torch.stack([ring * turns.cos(), ring * turns.sin(), z], dim=-1)
    positions = torch.cat([torch.zeros(1, 3), sphere]).double()
    numbers = torch.tensor([center] + [number] * n)
    return MoleculeBatch(numbers, positions, torch.tensor([n + 1]))


def crowded_energy(molecules):
    potential = full_potential()
    graph = potential.graph(molecules, torch.float64)
    limits = graph.positions.new_tensor(potential.bond_limits)
    lengths = graph.vectors().norm(dim=-1)
    energy = crowding(ELEMENTS, limits, graph, lengths)
    return torch.zeros(len(molecules)).double().index_add(0, graph.molecule, energy)


def full_potential(seed=0):
    """A potential with every physical energy and charges that are not 0."""
    config = {"elements": ELEMENTS, "channels": 8, "vector_channels": 4, "charges": True}
    network = build_network(parse_network(config), seed=seed).double()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "charge" in name or ".to_" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(seed))
    return Potential(
        network,
        (0.0,) * 6,
        repulsion_parameters(ELEMENTS),
        bond_limits(ELEMENTS),
        dispersion_parameters(ELEMENTS),
    )


NAMES = ("CH4", "CH3CONH2", "SO2", "C2H6SO", "CF4", "H2COH", "CH3NO2", "C4H4S", "C6H6")


@pytest.mark.parametrize("name", NAMES)
def test_crowding_is_absent_from_molecules(name):
    assert crowded_energy(MoleculeBatch.from_ase(molecule(name))) == pytest.approx(0, abs=1e-3)


def test_crowding_is_absent_from_sulfur_hexafluoride():
    sides = torch.cat([torch.eye(3), -torch.eye(3)]) * 1.56
    positions = torch.cat([torch.zeros(1, 3), sides]).double()
    numbers = torch.tensor([16] + [9] * 6)
    found = crowded_energy(MoleculeBatch(numbers, positions, torch.tensor([7])))
    assert float(found) == pytest.approx(0, abs=1e-3)


def test_crowding_grows_faster_than_the_number_of_neighbours():
    energies = [float(crowded_energy(crowd(n))) for n in (4, 6, 8, 10, 12)]
    steps = [b - a for a, b in pairwise(energies)]
    assert energies[0] == pytest.approx(0, abs=1e-3)
    assert energies[-1] > 80
    assert steps == sorted(steps)


def test_bonded_is_one_half_at_four_thirds_of_a_bond():
    share = bonded(torch.tensor([0.9, 4 / 3, 3.0]), torch.ones(3))
    assert float(share[0]) > 0.99
    assert float(share[1]) == pytest.approx(0.5, abs=1e-5)
    assert float(share[2]) < 1e-3


def test_dispersion_is_that_of_d2_at_long_range():
    parameters = torch.tensor(dispersion_parameters((6, 8)))[:, None].double()
    found = dispersion(torch.tensor([6.0]).double(), parameters)
    c6 = math.sqrt(1.75 * 0.70) * 1e6 * 0.0103642697 / 1000  # J nm⁶/mol in eV Å⁶
    assert float(found) == pytest.approx(-c6 / 6.0**6, rel=1e-4)


def test_dispersion_parameters_name_what_is_not_known():
    with pytest.raises(InputError, match="no dispersion is known for U; set dispersion to false"):
        dispersion_parameters((1, 92))


def test_electrostatics_is_coulomb_at_long_range_and_finite_at_zero():
    lengths = torch.tensor([1e-6, 9.0]).double()
    found = electrostatics(lengths, torch.tensor([[0.5, 0.5], [-0.5, -0.5]]).double())
    assert float(found[1]) == pytest.approx(-0.25 * Hartree * Bohr / 9.0, rel=0.02)
    assert -5 < float(found[0]) < float(found[1])


def test_switch_ends_smoothly():
    r = torch.linspace(9.5, 12.5, 3001, dtype=torch.float64, requires_grad=True)
    value = switch(r)
    (slope,) = torch.autograd.grad(value.sum(), r)
    assert value[[0, -1]].tolist() == [1, 0]
    assert float(slope.abs().max()) < 1
    assert float((slope[1:] - slope[:-1]).abs().max()) < 3e-3


def test_potential_energies_add_up_from_atoms_and_charges_from_nothing():
    molecules = MoleculeBatch.from_ase([molecule("CH3CONH2"), molecule("H2O"), molecule("CH4")])
    found = full_potential().predict(full_potential().graph(molecules, torch.float64))
    sums = molecules.sum_atoms(found.site_energy.detach())
    torch.testing.assert_close(sums, found.energy.detach())
    charges = molecules.sum_atoms(found.charges.detach())
    torch.testing.assert_close(charges, torch.zeros_like(charges), atol=1e-10, rtol=0)
    assert float(found.charges.detach().abs().max()) > 1e-3


def test_potential_of_molecules_far_apart_is_the_sum_of_theirs():
    potential = full_potential()
    one, two = molecule("CH3CONH2"), molecule("H2O")
    two.translate([FAR + 8.0, 0, 0])
    batch = MoleculeBatch.from_ase([one, two, one + two])
    energy = potential.predict(potential.graph(batch, torch.float64)).energy.detach()
    assert float(energy[2]) == pytest.approx(float(energy[0] + energy[1]), abs=1e-9)


def test_potential_forces_are_the_negative_gradient_with_every_term():
    potential = full_potential()
    batch = MoleculeBatch.cat([MoleculeBatch.from_ase(molecule("CH3CONH2")), crowd(7)])
    generator = torch.Generator().manual_seed(0)
    step = torch.randn(batch.positions.shape, generator=generator, dtype=torch.float64)
    forces = potential.predict(potential.graph(batch, torch.float64)).forces.detach()
    ends = [
        potential.predict(
            potential.graph(
                MoleculeBatch(batch.numbers, batch.positions + s * step, batch.n_atoms),
                torch.float64,
            )
        ).energy.sum()
        for s in (-1e-5, 1e-5)
    ]
    slope = float((ends[0] - ends[1]).detach()) / 2e-5
    assert slope == pytest.approx(float((forces * step).sum()), rel=1e-5)


def test_potential_is_the_same_after_saving(tmp_path):
    potential = full_potential()
    save_potential(tmp_path / "mace.json", potential)
    again, _ = load_potential(tmp_path / "mace.json")
    assert again.bond_limits == potential.bond_limits
    assert again.dispersion == potential.dispersion
    batch = MoleculeBatch.from_ase(molecule("CH3CONH2"))
    before = potential.predict(potential.graph(batch, torch.float64)).energy.detach()
    after = again.predict(again.graph(batch, torch.float32)).energy.detach()
    torch.testing.assert_close(after.double(), before, rtol=1e-5, atol=1e-4)


def test_potential_energy_has_a_lower_bound_whatever_the_charges():
    """Charges are not bounded, but their attraction saturates with what is learnt."""
    free = full_potential()
    with torch.no_grad():
        free.network.charge_readout.mul_(1e3)
    bounded = replace(free, lowest_site=(-4.0,) * 6)
    crowds = MoleculeBatch.cat([crowd(n) for n in (3, 6, 12)])
    found = [p(p.graph(crowds, torch.float64)).energy.detach() for p in (free, bounded)]
    physical = replace(bounded, network=Silent(bounded.network.config).double())
    rest = physical(physical.graph(crowds, torch.float64)).energy.detach()
    assert float(found[0].min()) < -1e3
    assert ((found[1] - rest) / crowds.n_atoms > -5.0 - 1e-6).all()


def test_potential_with_limits_is_the_same_frozen():
    potential = replace(full_potential(), lowest_site=(-0.5,) * 6)
    single = replace(potential, network=copy.deepcopy(potential.network).float())
    frozen = FrozenPotential.of(single)
    batch = MoleculeBatch.cat([MoleculeBatch.from_ase(molecule("CH3CONH2")), crowd(8)])
    exact = potential(potential.graph(batch, torch.float64)).energy.detach()
    found = frozen(frozen.graph(batch, torch.float32)).energy.detach()
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-4)


class Silent(Mace):
    """A network without energy or charges, which leaves the physical energies alone."""

    def forward(self, graph):
        found = super().forward(graph)
        silent = {"charges": 0 * found.charges, "site_energy": 0 * found.site_energy}
        return found._replace(energy=0 * found.energy, **silent)
