import pytest
from hypothesis import given
from hypothesis import strategies as st

from molrl.bags import Bag
from molrl.errors import InputError
from molrl.task import Task

counts = st.dictionaries(st.integers(1, 118), st.integers(1, 8), min_size=1, max_size=6)


@given(counts)
def test_formula_says_what_is_in_the_bag(atoms):
    bag = Bag(atoms)
    assert Bag(bag.formula) == bag
    assert Bag(bag.numbers) == bag
    assert dict(bag) == atoms
    assert bag.n_atoms == sum(atoms.values()) == len(bag.numbers)


@pytest.mark.parametrize(
    ("written", "hill"),
    [("CH4O", "CH4O"), ("OCH4", "CH4O"), ("HOH", "H2O"), ("SF6", "F6S"), ("C2H5OH", "C2H6O")],
)
def test_hill_order(written, hill):
    assert Bag(written).formula == hill


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no formula"),
        ("ch4", "is no formula"),
        ("CH4 O", "is no formula"),
        ("CH-4", "is no formula"),
        ("C(H)4", "is no formula"),
        ("4CH", "is no formula"),
        ("Qq2", "'Qq' is no element"),
        ("XH", "'X' is no element"),
        ("CH0", "'0' is no count"),
        ("CH99999999", "is no count"),
        ("C2000", "1 to 1000"),
    ],
)
def test_what_is_no_formula_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        Bag(text)
    with pytest.raises(InputError, match=message):
        Task.of(text)


def test_absent_elements_count_zero():
    assert Bag("CH4")[8] == 0
    assert 8 not in Bag("CH4")
    assert hash(Bag("CH4")) == hash(Bag("H4C"))
