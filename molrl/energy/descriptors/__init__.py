"""Invariant descriptors of atoms' environments, and the similarity kernel between them."""

from molrl.energy.descriptors.duplicates import without_duplicates
from molrl.energy.descriptors.interface import Descriptors
from molrl.energy.descriptors.kernel import SimilarityKernel
from molrl.energy.descriptors.load import load_descriptors

__all__ = ["Descriptors", "SimilarityKernel", "load_descriptors", "without_duplicates"]
