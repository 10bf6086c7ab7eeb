"""Structures with labels to fit an energy model to: how they are made, loaded and split."""

from typing import TYPE_CHECKING

from molrl.lazy import attributes_of

if TYPE_CHECKING:
    from molrl.fitting.data.dataset import Dataset
    from molrl.fitting.data.isolated import (
        IsolatedEnergies,
        isolated_energies,
        parse_atomic_energies,
    )
    from molrl.fitting.data.loading import load_data, load_parts

__all__ = [
    "Dataset",
    "IsolatedEnergies",
    "isolated_energies",
    "load_data",
    "load_parts",
    "parse_atomic_energies",
]

__getattr__ = attributes_of(
    __name__,
    {
        "Dataset": "molrl.fitting.data.dataset:Dataset",
        "IsolatedEnergies": "molrl.fitting.data.isolated:IsolatedEnergies",
        "isolated_energies": "molrl.fitting.data.isolated:isolated_energies",
        "load_data": "molrl.fitting.data.loading:load_data",
        "load_parts": "molrl.fitting.data.loading:load_parts",
        "parse_atomic_energies": "molrl.fitting.data.isolated:parse_atomic_energies",
    },
)
