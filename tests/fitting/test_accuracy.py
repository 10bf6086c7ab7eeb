from dataclasses import replace

import numpy as np
import pytest
import torch

from molrl.energy.interface import EnergyModel
from molrl.energy.output import EnergyOutput
from molrl.fitting.accuracy import errors_of
from molrl.fitting.data.dataset import Dataset
from molrl.molecules import MoleculeBatch

# Two waters, a hydrogen molecule, a clash, and a pair of atoms for which the model fails.
N_ATOMS = [3, 3, 2, 2, 2]
REFERENCE = [-10.0, -20.0, 1.0, 30.0, 0.0]
MODEL = [-10.3, -19.4, 1.1, 32.0, float("nan")]


class Table(EnergyModel):
    """A model with the energies of MODEL, -2 eV for H, and forces of (0.3, 0, 0) eV/Å."""

    name = hash = "table"
    elements = (1, 8)

    def _evaluate(self, molecules, wanted):
        if (molecules.n_atoms == 1).all():
            return EnergyOutput(torch.tensor([-2.0, -7.0], dtype=torch.float64))
        force = torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64)
        energy = torch.tensor(MODEL[: len(molecules)], dtype=torch.float64)
        return EnergyOutput(energy, forces=force.expand(len(molecules.numbers), 3))


@pytest.fixture
def data():
    numbers = [np.array([8, 1, 1][:n] if n == 3 else [1, 1]) for n in N_ATOMS]
    positions = [np.arange(3.0 * n).reshape(n, 3) for n in N_ATOMS]
    forces = torch.zeros(sum(N_ATOMS), 3)
    forces[8:10, 2] = torch.tensor([40.0, -40.0])  # on the clashing atoms
    return Dataset(
        molecules=MoleculeBatch.from_arrays(zip(numbers, positions, strict=True)),
        energy=torch.tensor(REFERENCE, dtype=torch.float64),
        forces=forces,
        kind=torch.tensor([0, 0, 1, 2, 1]),
        kinds=("relaxed", "pair", "clash", "random walk"),
        split=torch.zeros(5, dtype=torch.int64),
        identity=torch.zeros(5, dtype=torch.int64),
        identities=("O",),
    )


def test_errors_by_kind_agree_with_a_computation_by_hand(data):
    errors = errors_of(Table(), data)
    assert errors.failed == 1
    whole, relaxed, pair, high_force = errors.by_kind()
    assert [row["kind"] for row in (relaxed, pair)] == ["relaxed", "pair"]
    # 0.3 and 0.6 eV on 3 atoms, 0.1 eV on 2: 100, 200 and 50 meV/atom
    assert relaxed["energy MAE meV/atom"] == pytest.approx(150)
    assert relaxed["median meV/atom"] == pytest.approx(150)
    assert relaxed["energy MAE eV"] == pytest.approx(0.45)
    assert pair["structures"] == 1
    assert pair["energy MAE meV/atom"] == pytest.approx(50)
    assert whole["structures"] == 3
    assert whole["median meV/atom"] == pytest.approx(100)
    assert whole["force MAE meV/Å"] == pytest.approx(100)  # 0.3 eV/Å in one of three components
    assert high_force["kind"] == "all above 30 eV/Å"
    assert high_force["energy MAE meV/atom"] == pytest.approx(1000)
    assert high_force["force MAE meV/Å"] == pytest.approx(1e3 * 40.3 / 3, rel=1e-6)


def test_errors_interaction_is_relative_to_isolated_atoms(data):
    errors = errors_of(Table(), data)
    assert errors.interaction.tolist() == pytest.approx([1.0, -9.0, 5.0, 34.0])
    assert errors.energy_per_atom.tolist() == pytest.approx([-0.1, 0.2, 0.05, 1.0])


def test_errors_leave_out_bounds(data):
    errors = errors_of(Table(), replace(data, bound=torch.tensor([False] * 4 + [True])))
    assert errors.failed == 0
    assert len(errors.structures) == 4


def test_errors_of_no_structures_are_empty(data):
    errors = errors_of(Table(), data[torch.zeros(5, dtype=torch.bool)])
    assert errors.by_kind() == []
    assert errors.failed == 0


def test_errors_of_reports_progress(data):
    done = []
    errors_of(Table(), data, done.append)
    assert done == [5]
