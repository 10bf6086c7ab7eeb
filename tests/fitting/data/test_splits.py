from collections import Counter

import pytest

from molrl.fitting.data.splits import split_structures

TRAIN, VALID, TEST = 0, 1, 2


@pytest.mark.parametrize("n_molecules", [2, 3, 5, 12, 200])
def test_split_structures_puts_a_molecule_in_one_split(n_molecules):
    names = [f"C{i % n_molecules}H" for i in range(20 * n_molecules)]
    split = split_structures(names).tolist()
    assert all(
        len({s for s, n in zip(split, names, strict=True) if n == name}) == 1 for name in names
    )
    counts = Counter(split)
    assert counts[VALID] >= 1
    assert counts[TRAIN] >= len(names) / 3
    if n_molecules >= 12:
        assert 0.05 * len(names) <= counts[VALID] <= 0.2 * len(names)
        assert counts[TEST] >= 1


def test_split_structures_keeps_a_large_molecule_for_the_fit():
    names = ["C6H6"] * 90 + ["CH4"] * 10
    assert split_structures(names).tolist() == [TRAIN] * 90 + [VALID] * 10


def test_split_structures_does_not_depend_on_the_order():
    names = [f"C{i}H" for i in range(40)]
    forward = dict(zip(names, split_structures(names).tolist(), strict=True))
    names.reverse()
    assert dict(zip(names, split_structures(names).tolist(), strict=True)) == forward


@pytest.mark.parametrize("n", [1, 2, 19, 20, 500])
def test_split_structures_of_one_molecule_is_random_with_a_fixed_seed(n):
    split = split_structures(["H2O"] * n)
    assert split.tolist() == split_structures(["H2O"] * n).tolist()
    counts = Counter(split.tolist())
    assert counts[VALID] == (max(1, round(0.1 * n)) if n > 1 else 0)
    assert counts[TEST] == (max(1, round(0.05 * n)) if n >= 20 else 0)
