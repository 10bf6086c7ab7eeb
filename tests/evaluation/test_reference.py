import pytest
from ase.build import molecule

from molrl.chemistry.geometry import rmsd
from molrl.energy import load_energy
from molrl.energy.relaxation import relax
from molrl.errors import InputError
from molrl.evaluation.reference import best_known, reference_return
from molrl.molecules import MoleculeBatch


@pytest.fixture(scope="module")
def gfn2():
    return load_energy("gfn2")


def binding(name, model):
    """Energy of the isolated atoms less that of the relaxed molecule, eV."""
    batch = MoleculeBatch.from_ase(molecule(name))
    atoms = model.atom_energies()
    return sum(atoms[z] for z in batch.numbers.tolist()) - float(relax(batch, model).energy[0])


@pytest.mark.parametrize(
    ("bag", "name", "smiles"),
    [("CH4O", "CH3OH", "CO"), ("C2H6O", "CH3CH2OH", "CCO"), ("H2O", "H2O", "O")],
)
def test_small_bags_have_their_known_best_molecule(gfn2, bag, name, smiles):
    best = best_known(bag, gfn2)
    assert best.smiles == smiles
    conformer = binding(name, gfn2)  # maybe not the best one of them
    assert conformer - 0.005 < best.value < conformer + 0.1
    assert best.value == pytest.approx(reference_return(bag, gfn2), abs=1e-3)
    assert best.molecule.bags()[0].formula == bag
    assert float(gfn2.evaluate(best.molecule).energy[0]) == pytest.approx(best.energy, abs=1e-4)


def test_it_is_the_best_of_all_isomers(gfn2):
    best = best_known("C3H8O", gfn2)
    assert best.n_isomers == 3
    assert best.value >= max(binding(name, gfn2) for name in ("C2H6CHOH", "CH3CH2OCH3")) - 0.005


def test_best_known_is_the_same_for_the_same_bag(gfn2):
    first, second = best_known("C2H6O", gfn2), best_known("C2H6O", gfn2)
    assert first.smiles == second.smiles
    assert first.value == pytest.approx(second.value, abs=1e-3)
    assert rmsd(first.molecule, second.molecule) < 0.05


@pytest.mark.parametrize("bag", ["CH3", "H7O", "He2"])
def test_a_bag_of_which_no_molecule_can_be_made_is_refused(gfn2, bag):
    with pytest.raises(InputError):
        best_known(bag, gfn2)
