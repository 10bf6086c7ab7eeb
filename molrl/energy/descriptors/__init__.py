"""Invariant descriptors of atoms' environments, and the similarity kernel between them."""

from molrl.energy.descriptors.duplicates import without_duplicates
from molrl.energy.descriptors.interface import Descriptors
from molrl.energy.descriptors.kernel import SimilarityKernel
from molrl.energy.descriptors.load import load_descriptors
from molrl.energy.descriptors.nearest import Nearest, nearest_molecules

__all__ = [
    "Descriptors",
    "Nearest",
    "SimilarityKernel",
    "load_descriptors",
    "nearest_molecules",
    "without_duplicates",
]
