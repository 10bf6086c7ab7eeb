from itertools import combinations_with_replacement

import numpy as np
import torch

from molrl.energy import load_energy
from molrl.energy.networks.repulsion import repulsion, repulsion_parameters
from molrl.molecules import MoleculeBatch

HEAVY = list(combinations_with_replacement([6, 7, 8, 9, 16], 2))


def of_pairs(pairs, length):
    sides = zip(*pairs, strict=True)
    parameters = torch.tensor([repulsion_parameters(side) for side in sides])
    return repulsion(torch.full((len(pairs),), length, dtype=torch.float64), parameters.double())


def test_repulsion_is_most_of_the_gfn2_energy_at_short_distance():
    """At 0.3 Å, compared with the whole interaction energy in GFN2-xTB."""
    model = load_energy("gfn2")
    molecules = MoleculeBatch.from_arrays(
        (np.array(pair), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.3]])) for pair in HEAVY
    )
    atoms = model.atom_energies()
    isolated = np.array([atoms[a] + atoms[b] for a, b in HEAVY])
    whole = model.evaluate(molecules).energy.numpy() - isolated
    known = np.isfinite(whole)
    assert known.sum() > 10
    share = of_pairs(HEAVY, 0.3).numpy()[known] / whole[known]
    assert (share > 0.6).all()
    assert (share < 1.2).all()


def test_repulsion_vanishes_at_the_cutoff():
    assert (of_pairs(HEAVY, 5.0) < 1e-6).all()
    assert (of_pairs(HEAVY, 5.0) > 0).all()
