import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from tblite.ase import TBLite

from molrl.chemistry.molecule_set import shipped_molecules

N_GEOMETRIES = 5


@pytest.fixture(scope="package")
def images():
    """Sixty distorted geometries of twelve small molecules, labelled with GFN1-xTB."""
    shipped = shipped_molecules()
    small = shipped[(shipped.molecules.n_atoms >= 3) & (shipped.molecules.n_atoms <= 7)]
    rng = np.random.default_rng(0)
    made = []
    for atoms in small[:: len(small) // 12][:12].molecules.to_ase():
        for _ in range(N_GEOMETRIES):
            image = atoms.copy()
            image.rattle(0.05, rng=rng)
            image.calc = TBLite(method="GFN1-xTB", verbosity=0)
            energy, forces = image.get_potential_energy(), image.get_forces()
            image.calc = SinglePointCalculator(image, energy=energy, forces=forces)
            made.append(image)
    return made
