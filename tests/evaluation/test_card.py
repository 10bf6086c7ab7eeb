"""The lines of a model card."""

from dataclasses import replace

import pytest
import torch

from molrl.evaluation.card import Card, _counts, to_markdown
from molrl.fitting.data.dataset import Dataset
from molrl.molecules import MoleculeBatch


@pytest.fixture
def data():
    """Four single atoms of two kinds, one of which is called as the sum is."""
    ones = torch.ones(4, dtype=torch.int64)
    return Dataset(
        molecules=MoleculeBatch(ones, torch.zeros(4, 3), ones),
        energy=torch.zeros(4, dtype=torch.float64),
        forces=torch.zeros(4, 3),
        kind=torch.tensor([0, 0, 0, 1]),
        kinds=("other", "all"),
        split=0 * ones,
        identity=0 * ones,
        identities=("H",),
    )


def test_counts_keep_a_kind_that_is_called_all(data):
    counts = [(row["kind"], row["train"]) for row in _counts(data)]
    assert counts == [("other", 3), ("all", 1), ("all", 4)]


def test_to_markdown_gives_the_errors_at_start_with_their_units(data):
    notes = {"valid_energy_mae_at_start": 0.53, "valid_force_mae_at_start": 0.2, "isolated": "H"}
    speed = {"fitted_per_second": None, "energies_per_second": 1.0, "batch": 1}
    card = Card(
        model="mace 0", weights={"file": "mace.json", "sha256": "0"}, errors={}, failed={},
        speed=speed | {"atoms_per_molecule": 1.0}, files=[], structures=_counts(data), config={},
        versions={"machine": {"gpu": None, "cpu": "any"}}, notes={},
    )  # fmt: skip
    lines = to_markdown(replace(card, notes=notes)).splitlines()
    assert "- valid energy mae at start: 0.53 eV/atom" in lines
    assert "- valid force mae at start: 0.2 eV/Å" in lines
    assert "- isolated: H" in lines
