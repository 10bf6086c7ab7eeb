"""Structures with labels to fit an energy model to: how they are made, loaded and split."""

from molrl.fitting.data.dataset import Dataset
from molrl.fitting.data.isolated import IsolatedEnergies, isolated_energies, parse_atomic_energies
from molrl.fitting.data.loading import load_data, load_parts

__all__ = [
    "Dataset",
    "IsolatedEnergies",
    "isolated_energies",
    "load_data",
    "load_parts",
    "parse_atomic_energies",
]
