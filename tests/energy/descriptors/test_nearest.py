import numpy as np
import pytest
import torch

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.energy.descriptors import load_descriptors, nearest, nearest_molecules
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch

SHARPNESS = 30.0


@pytest.fixture(scope="module")
def descriptors():
    return load_descriptors("tensor-reduced", "cpu")


@pytest.fixture(scope="module")
def known():
    return shipped_molecules()[:40].molecules


def plain_similarities(first, second, descriptors):
    """Return the average kernel of all pairs by loops over the molecules."""
    x, y = (descriptors(batch).double() for batch in (first, second))
    width = y.square().sum(-1).mean()

    def total(a, b):
        squared = (a[:, None] - b).square().sum(-1)
        return torch.exp(-0.5 * SHARPNESS * squared / width).mean()

    ones, others = torch.split(x, first.n_atoms.tolist()), torch.split(y, second.n_atoms.tolist())
    return np.array(
        [[float(total(a, b) / (total(a, a) * total(b, b)).sqrt()) for b in others] for a in ones]
    )


def test_nearest_molecules_equals_loops_over_molecules(descriptors, known, monkeypatch):
    monkeypatch.setattr(nearest, "_ATOMS", 25)  # several chunks
    monkeypatch.setattr(nearest, "_KNOWN_ATOMS", 60)
    molecules = shipped_molecules()[60:70].molecules
    found = nearest_molecules(molecules, known, descriptors, SHARPNESS)
    expected = plain_similarities(molecules, known, descriptors)
    assert np.abs(found.similarity - expected.max(1)).max() < 1e-4
    assert found.index.tolist() == expected.argmax(1).tolist()


def test_nearest_molecules_finds_turned_and_reordered_molecules(descriptors, known):
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    one = known[[17]]
    order = torch.randperm(len(one.numbers), generator=torch.Generator().manual_seed(0))
    turned = (one.positions @ torch.from_numpy(turn).float())[order]
    found = nearest_molecules(
        MoleculeBatch(one.numbers[order], turned, one.n_atoms), known, descriptors
    )
    assert found.index.tolist() == [17]
    assert found.similarity[0] == pytest.approx(1.0, abs=1e-3)


def test_nearest_molecules_refuses_what_it_cannot_compare(descriptors, known):
    with pytest.raises(InputError, match="at least one"):
        nearest_molecules(known, known[:0], descriptors)
    empty = MoleculeBatch(torch.zeros(0).long(), torch.zeros(0, 3), torch.tensor([0]))
    with pytest.raises(InputError, match="without atoms"):
        nearest_molecules(empty, known, descriptors)
