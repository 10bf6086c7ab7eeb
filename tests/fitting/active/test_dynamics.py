import numpy as np
import pytest
import torch
from ase import units
from ase.build import molecule
from ase.data import atomic_masses

from molrl.energy import load_energy
from molrl.energy.uncertainty import BiasedOutput
from molrl.fitting.active.config import DynamicsConfig
from molrl.fitting.active.dynamics import Langevin, hyperactive
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def waters():
    return MoleculeBatch.from_ase([molecule("H2O"), molecule("CH4"), molecule("CO")])


def seeds(n):
    return [[0, i] for i in range(n)]


def test_langevin_without_friction_conserves_the_energy(waters):
    model = load_energy("mace")
    config = DynamicsConfig(temperature=300.0, time_step=0.5, friction=0.0)
    langevin = Langevin(waters, config, seeds(3))
    output = model.evaluate(waters, forces=True)
    start = output.energy + langevin.kinetic_energy()
    swing, drift = torch.zeros(3), []
    for _ in range(150):
        langevin.move(output.forces)
        output = model.evaluate(langevin.molecules, forces=True)
        langevin.kick(output.forces)
        drift.append((output.energy + langevin.kinetic_energy() - start).abs())
        swing = torch.maximum(swing, (output.energy - start).abs())
    assert (swing > 0.01).all()
    assert (torch.stack(drift[-50:]).mean(0) < 0.005 * waters.n_atoms).all()


def test_langevin_samples_the_temperature_of_a_harmonic_well():
    """BAOAB's configurations are exact for a harmonic well: <x²> = kT / k, <v²> near kT / m."""
    n, stiffness, temperature = 400, 5.0, 300.0
    atoms = MoleculeBatch(
        torch.full((n,), 6), torch.zeros(n, 3, dtype=torch.float64), torch.ones(n).long()
    )
    config = DynamicsConfig(temperature=temperature, friction=0.05)
    langevin = Langevin(atoms, config, seeds(n))
    squares, kinetic = [], []
    for step in range(1000):
        langevin.move(-stiffness * langevin.molecules.positions)
        langevin.kick(-stiffness * langevin.molecules.positions)
        if step > 200:
            squares.append(langevin.molecules.positions.square().mean())
            kinetic.append(langevin.kinetic_energy().mean())
    thermal = units.kB * temperature
    assert float(torch.stack(squares).mean()) == pytest.approx(thermal / stiffness, rel=0.03)
    assert float(torch.stack(kinetic).mean()) == pytest.approx(1.5 * thermal, rel=0.03)


def test_langevin_moves_a_molecule_alike_alone_and_in_a_batch(waters):
    config = DynamicsConfig(friction=0.05)

    def run(molecules, streams):
        langevin = Langevin(molecules, config, streams)
        for _ in range(70):
            langevin.move(-langevin.molecules.positions)
            langevin.kick(-langevin.molecules.positions)
        return langevin.molecules.positions

    together = run(waters, seeds(3))
    alone = run(waters[1:2], seeds(3)[1:2])
    assert torch.allclose(together[3:8], alone, atol=1e-10)


def test_langevin_keep_leaves_the_other_molecules_unchanged(waters):
    config = DynamicsConfig(friction=0.05)
    whole, part = (Langevin(waters, config, seeds(3)) for _ in range(2))
    for step in range(80):
        for langevin in (whole, part):
            langevin.move(-langevin.molecules.positions)
            langevin.kick(-langevin.molecules.positions)
        if step == 20:
            part.keep(torch.tensor([False, True, True]))
    assert torch.allclose(whole.molecules.positions[3:], part.molecules.positions, atol=1e-10)
    assert np.isfinite(part.molecules.positions.numpy()).all()


def calm(data, n):
    """Some structures of the data with small forces."""
    gentle = (data.largest_force() < 5) & (data.molecules.n_atoms > 3)
    return data.molecules[torch.nonzero(gentle).flatten()[:n]]


def test_hyperactive_finds_more_uncertain_frames_than_dynamics_alone(data):
    model, molecules = load_energy("mace"), calm(data, 24)
    found = {
        bias: hyperactive(
            model, molecules, DynamicsConfig(steps=40, bias=bias, tolerance=1e9), seed=0
        )
        for bias in (0.0, 1.0)
    }
    gained = found[1.0].uncertainty - found[0.0].uncertainty
    assert gained.mean() > 0
    assert (gained > 0).double().mean() > 0.9


class Slope:
    """A force of 1, 2, 3 and so on eV/Å along x on lone atoms, each as uncertain as its x in Å."""

    device = torch.device("cpu")

    def __init__(self, n):
        self.slopes = torch.arange(1.0, n + 1, dtype=torch.float64)
        self.asked = []

    def evaluate_biased(self, molecules):
        x = molecules.positions[:, 0]
        self.asked.append(len(x))
        slope = self.slopes[molecules.numbers - 1]
        force = torch.stack([slope, torch.zeros_like(x), torch.zeros_like(x)], -1)
        return BiasedOutput(-slope * x, force, torch.zeros_like(force), x, x)


def test_hyperactive_ends_each_trajectory_at_its_first_frame_past_the_tolerance():
    """Atoms that fall from rest: x = F t² / 2 m, which their steps follow exactly."""
    n, config = 4, DynamicsConfig(steps=20, temperature=0, friction=0, bias=0, tolerance=0.85)
    numbers = torch.arange(1, n + 1)
    atoms = MoleculeBatch(numbers, torch.zeros(n, 3), torch.ones(n, dtype=torch.int64))
    model = Slope(n)
    found = hyperactive(model, atoms, config, seed=0)
    times = torch.arange(1, config.steps + 1) * units.fs
    ways = 0.5 * model.slopes[:, None] / torch.from_numpy(atomic_masses)[numbers, None] * times**2
    past = ways > config.tolerance
    assert found.passed.tolist() == past.any(-1).tolist() == [True, True, False, True]
    steps = [row.tolist().index(True) + 1 if row.any() else config.steps for row in past]
    assert found.steps.tolist() == steps
    wanted = ways[torch.arange(n), found.steps - 1]
    torch.testing.assert_close(found.uncertainty, wanted)
    torch.testing.assert_close(found.molecules.positions[:, 0], wanted)
    assert sum(model.asked) == n + sum(steps)  # nobody is followed further


def test_hyperactive_gives_the_uncertainty_of_the_frames_it_found(certain, data):
    config = DynamicsConfig(steps=60, temperature=1000.0, bias=0.5, tolerance=0.3)
    found = hyperactive(certain, calm(data, 16), config, seed=0)
    uncertainty = certain.evaluate(found.molecules, uncertainty=True).uncertainty
    assert torch.allclose(uncertainty.double(), found.uncertainty, atol=1e-2)
    assert found.passed.any()
    assert (found.uncertainty[found.passed] > config.tolerance).all()
    assert (found.uncertainty[~found.passed] <= config.tolerance).all()


def test_hyperactive_ends_a_trajectory_at_a_clash_and_keeps_its_start(certain):
    clash = MoleculeBatch.from_ase([molecule("H2O"), molecule("CH4")])
    clash.positions[1] = clash.positions[0] + 0.15
    found = hyperactive(certain, clash, DynamicsConfig(steps=5, tolerance=1e9), seed=0)
    assert torch.equal(found.molecules.positions[:3], clash.positions[:3])
    assert found.uncertainty[0] == -torch.inf
    assert torch.isfinite(found.uncertainty[1])
