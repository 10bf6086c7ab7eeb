import numpy as np
import pytest
from ase.data import covalent_radii

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.fitting.data.placements import placements
from molrl.structures.structure import to_structures


@pytest.mark.parametrize("index", range(3, 400, 40))
def test_placements_stay_within_reach_and_keep_the_guard(index):
    shipped = shipped_molecules()[[index]]
    (structure,) = to_structures(shipped.molecules, "relaxed", shipped.identities)
    made = placements(structure, np.array([1, 8]), 50, np.random.default_rng(index), guard=0.65)
    assert 0 < len(made) <= 50
    for more in made:
        gaps = np.linalg.norm(structure.positions - more.positions[-1], axis=-1)
        radii = covalent_radii[structure.numbers] + covalent_radii[more.numbers[-1]]
        assert (gaps >= np.maximum(0.65 * radii, 0.3) - 1e-9).all()
        assert gaps.min() <= 2.0 + 1e-9
        assert more.numbers[-1] in (1, 8)
