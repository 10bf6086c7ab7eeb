import pytest

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.structures.structure import to_structures


@pytest.fixture(scope="package")
def shipped():
    """The shipped molecules, by identity."""
    molecules = shipped_molecules()
    made = to_structures(molecules.molecules, "relaxed", molecules.identities)
    return {s.identity: s for s in made}
