"""Elements that form one bond."""

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

MONOVALENT = np.isin(
    np.arange(len(chemical_symbols)), [atomic_numbers[s] for s in ("H", "F", "Cl", "Br")]
)
"""Whether an element, by its atomic number, is H, F, Cl or Br; ``(119,)`` bool."""
