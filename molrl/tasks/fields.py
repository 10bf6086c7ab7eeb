"""Types of the fields of tasks."""

from typing import Annotated

from pydantic import BeforeValidator

from molrl.bags import Bag
from molrl.errors import InputError


def to_bag(bag: object) -> Bag:
    """Return a bag, given as a formula or as a bag.

    Args:
        bag: a formula or a bag.

    Raises:
        InputError: if it is neither.
    """
    if not isinstance(bag, str | Bag):
        raise InputError(f"a bag must be a formula such as CH4O, not {bag!r}")
    return Bag(bag)


def _to_formula(bag: object) -> str:
    return to_bag(bag).formula


def _check_fragment(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"a fragment must be a SMILES or the name of a file, not {name!r}")
    return name


def _to_tuple(items: object) -> object:
    return tuple(items) if isinstance(items, list) else items


Formula = Annotated[str, BeforeValidator(_to_formula)]
FragmentName = Annotated[str, BeforeValidator(_check_fragment)]
Formulas = Annotated[tuple[Formula, ...], BeforeValidator(_to_tuple)]
FragmentPair = Annotated[tuple[FragmentName, FragmentName], BeforeValidator(_to_tuple)]
