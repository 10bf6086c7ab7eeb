from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem, rdDepictor

from molrl.chemistry.embedding import from_smiles
from molrl.energy import load_energy
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.neighbors import find_neighbors

sizes = st.lists(st.integers(0, 6), min_size=1, max_size=6)


def batch_of(n_atoms, seed=0):
    rng = np.random.default_rng(seed)
    return MoleculeBatch.from_arrays(
        (rng.integers(1, 9, n), rng.normal(0, 2, (n, 3))) for n in n_atoms
    )


@given(sizes)
def test_from_arrays_and_arrays_round_trip(n_atoms):
    batch = batch_of(n_atoms)
    again = MoleculeBatch.from_arrays(batch.arrays())
    assert batch.n_atoms.tolist() == n_atoms
    assert torch.equal(again.numbers, batch.numbers)
    assert torch.equal(again.positions, batch.positions)


@given(sizes, st.randoms(use_true_random=False))
def test_getitem_indexes_like_a_list(n_atoms, random):
    batch = batch_of(n_atoms)
    parts = batch.arrays()
    chosen = [random.randrange(len(parts)) for _ in range(4)]
    for index, wanted in (
        (chosen, [parts[i] for i in chosen]),
        (slice(1, None), parts[1:]),
        (slice(None, None, -1), parts[::-1]),
        (slice(-1, 0, -2), parts[-1:0:-2]),
        (slice(3, 1), parts[3:1]),
        (np.array(chosen, np.uint8), [parts[i] for i in chosen]),
        (torch.tensor(chosen[0]), [parts[chosen[0]]]),
        (np.array([n > 2 for n in n_atoms]), [p for p in parts if len(p[0]) > 2]),
        (len(parts) - 1, parts[-1:]),
    ):
        got = batch[index].arrays()
        assert len(got) == len(wanted)
        for (z, x), (zw, xw) in zip(got, wanted, strict=True):
            assert np.array_equal(z, zw)
            assert np.array_equal(x, xw)


@pytest.mark.parametrize("index", [1.5, "a", None, [0.5], [[0, 1]]])
def test_getitem_refuses_what_selects_nothing(index):
    with pytest.raises(TypeError, match="by an int, a slice, indices or a boolean mask, not"):
        batch_of([2, 1])[index]


def test_repr_says_how_many_molecules_and_atoms():
    batch = batch_of([2, 0, 1])
    wanted = "<MoleculeBatch of 3 molecules, 3 atoms, float64 on cpu>"
    assert repr(batch) == str(batch) == wanted


@given(sizes)
def test_sum_atoms_sums_over_each_molecule(n_atoms):
    batch = batch_of(n_atoms)
    assert batch.sum_atoms(batch.numbers).tolist() == [int(z.sum()) for z, _ in batch.arrays()]


def test_from_ase_takes_the_lowest_spin_that_parity_allows():
    images = [molecule("H2O"), molecule("CH3"), molecule("NO")]
    assert MoleculeBatch.from_ase(images).spin.tolist() == [1, 2, 2]
    images[0].info["charge"] = 1
    images[2].info["spin"] = 4
    batch = MoleculeBatch.from_ase(images)
    assert batch.charge.tolist() == [1, 0, 0]
    assert batch.spin.tolist() == [2, 2, 4]


def test_from_ase_and_to_ase_round_trip():
    images = [molecule("CH3OH"), Atoms(), molecule("O2")]
    images[0].info["charge"] = -1
    images[2].info["spin"] = 3
    for atoms, again in zip(images, MoleculeBatch.from_ase(images).to_ase(), strict=True):
        assert atoms.info == again.info
        assert np.array_equal(atoms.numbers, again.numbers)
        assert np.array_equal(atoms.positions, again.positions)


def test_from_rdkit_and_to_rdkit_round_trip():
    mol = Chem.AddHs(Chem.MolFromSmiles("C[NH3+]"))
    AllChem.EmbedMolecule(mol, randomSeed=0)
    batch = MoleculeBatch.from_rdkit([mol, mol])
    assert batch.charge.tolist() == [1, 1]
    again = MoleculeBatch.from_rdkit(batch.to_rdkit())
    assert torch.equal(again.positions, batch.positions)
    assert torch.equal(again.numbers, batch.numbers)
    with pytest.raises(InputError, match="no 3D coordinates"):
        MoleculeBatch.from_rdkit(Chem.MolFromSmiles("C"))


@pytest.mark.parametrize("smiles", ["CCO", "c1cc[nH]c1"])
def test_from_rdkit_refuses_molecules_without_their_hydrogens(smiles):
    mol = from_smiles(smiles, seed=0)
    with pytest.raises(InputError, match="molecule 1 lacks hydrogens"):
        MoleculeBatch.from_rdkit([mol, Chem.RemoveHs(mol)])


@pytest.mark.parametrize("mols", ["CCO", [None]])
def test_from_rdkit_refuses_what_is_no_molecule_of_rdkit(mols):
    with pytest.raises(InputError, match=r"0 must be an RDKit molecule, not ('C'|None)"):
        MoleculeBatch.from_rdkit(mols)


def test_from_rdkit_refuses_2d_coordinates():
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    rdDepictor.Compute2DCoords(mol)
    with pytest.raises(InputError, match="no 3D coordinates"):
        MoleculeBatch.from_rdkit(mol)


@pytest.mark.parametrize(
    "pairs",
    [
        [(np.ones(2), np.zeros((3, 3))), (np.ones(3), np.zeros((2, 3)))],
        [(np.ones(2), np.zeros((3, 2)))],
        [(np.ones((2, 1)), np.zeros((2, 3)))],
    ],
)
def test_from_arrays_refuses_inconsistent_shapes(pairs):
    with pytest.raises(InputError, match=r"molecule 0: numbers must be \(n,\)"):
        MoleculeBatch.from_arrays(pairs)


@pytest.mark.parametrize("numbers", [[6.7], ["C"], [np.nan], [True], [None], [8, [1]]])
def test_from_arrays_refuses_numbers_that_are_not_whole(numbers):
    good = [8], np.zeros((1, 3))
    with pytest.raises(InputError, match="molecule 1: numbers must be atomic numbers"):
        MoleculeBatch.from_arrays([good, (numbers, np.zeros((1, 3)))])


@pytest.mark.parametrize(
    "positions", [[[0, 0], [0, 0, 1]], [["a", "b", "c"]] * 2, [[None, 0, 0]] * 2, [[1j, 0, 0]] * 2]
)
def test_from_arrays_refuses_positions_that_are_ragged_or_no_numbers(positions):
    with pytest.raises(InputError, match="molecule 0: positions must be three numbers for each"):
        MoleculeBatch.from_arrays([([1, 1], positions)])


@pytest.mark.parametrize("molecule", [[8], ([8], [[0, 0, 0]], 0), 8])
def test_from_arrays_refuses_what_is_no_pair(molecule):
    with pytest.raises(InputError, match=r"molecule 0 must be a pair of numbers \(n,\) and"):
        MoleculeBatch.from_arrays([molecule])


def test_from_arrays_takes_whole_numbers_of_any_type():
    batch = MoleculeBatch.from_arrays(
        [([8.0], [[0, 0, 0]]), (np.array([6], np.uint8), [[0, 0, 0]])]
    )
    assert batch.numbers.tolist() == [8, 6]


def test_charged_refuses_another_number_of_charges():
    batch = MoleculeBatch.from_arrays([(np.array([1]), np.zeros((1, 3)))] * 3)
    with pytest.raises(InputError, match=r"charge must be \(3,\), not \(1,\)"):
        batch.charged([1])


def test_from_padded_skips_padding():
    numbers = torch.tensor([[6, 1, 0], [0, 0, 0], [8, 0, 0]])
    positions = torch.arange(27.0).view(3, 3, 3)
    batch = MoleculeBatch.from_padded(numbers, positions)
    assert batch.n_atoms.tolist() == [2, 0, 1]
    assert torch.equal(batch.positions[2], positions[2, 0])


@pytest.mark.parametrize(
    ("numbers", "positions", "message"),
    [
        ([1, 1], [[0, 0, 0], [0, 0, np.nan]], "molecule 1 has a coordinate that is not a finite"),
        ([1, 1], [[0, 0, 0], [0, 0, np.inf]], "molecule 1 has a coordinate that is not a finite"),
        ([1, 1], [[0, 0, 0], [0, 0, 0.01]], "molecule 1 has two atoms in one place"),
        ([1, 9], [[0, 0, 0], [0, 0, 1]], "molecule 1 holds F"),
        ([1, 0], [[0, 0, 0], [0, 0, 1]], "molecule 1 holds 0"),
    ],
)
def test_check_names_the_invalid_molecule(numbers, positions, message):
    good = molecule("H2O")
    batch = MoleculeBatch.from_arrays(
        [(good.numbers, good.positions), (np.array(numbers), np.array(positions, float))]
    )
    with pytest.raises(InputError, match=message):
        batch.check(elements=(1, 6, 7, 8))


def test_check_refuses_coordinates_that_a_search_for_neighbors_cannot_take():
    slab = Atoms("CO", [[0, 0, 1e21], [0, 0, 1.2]], cell=[5, 5, 5], pbc=[True, True, False])
    with pytest.raises(InputError, match="molecule 0 has a coordinate that is not a finite number"):
        MoleculeBatch.from_ase(slab).check()


def test_molecule_batch_refuses_inconsistent_shapes():
    with pytest.raises(InputError, match="positions must be"):
        MoleculeBatch(torch.tensor([1]), torch.zeros(2, 3), torch.tensor([1]))


def test_from_ase_and_to_ase_keep_cells():
    slab = molecule("H2O", vacuum=3.0, pbc=(True, True, False))
    images = [bulk("NaCl", "rocksalt", a=5.6), molecule("H2O"), slab]
    batch = MoleculeBatch.from_ase(images)
    assert batch.is_periodic
    assert batch.pbc.tolist() == [[True] * 3, [False] * 3, [True, True, False]]
    for atoms, again in zip(images, batch.to_ase(), strict=True):
        assert np.array_equal(atoms.cell, again.cell)
        assert np.array_equal(atoms.pbc, again.pbc)


def test_from_ase_refuses_linearly_dependent_cell_vectors():
    flat = molecule("H2O", cell=[[3, 0, 0], [6, 0, 0], [0, 0, 3]], pbc=(True, True, False))
    with pytest.raises(InputError, match="molecule 1 is periodic along cell vectors that are lin"):
        MoleculeBatch.from_ase([molecule("H2O"), flat])


def test_to_rdkit_and_evaluate_refuse_periodic_structures():
    batch = MoleculeBatch.from_ase([molecule("H2O"), bulk("C", "diamond", a=3.57)])
    with pytest.raises(InputError, match="molecule 1 is periodic, and RDKit takes molecules only"):
        batch.to_rdkit()
    for name in ("mace", "gfn2"):
        with pytest.raises(InputError, match=f"periodic, and energy model '{name}' takes molecul"):
            load_energy(name).evaluate(batch)


def test_check_finds_two_atoms_in_one_place_across_a_cell():
    images = Atoms("C2", positions=[[0, 0, 0], [0, 0, 4.99]], cell=[5, 5, 5], pbc=True)
    with pytest.raises(InputError, match="molecule 0 has two atoms in one place"):
        MoleculeBatch.from_ase(images).check()


def test_part_keeps_the_neighbor_lists():
    batch = batch_of([3, 0, 5, 4])
    whole = batch.neighbors(3.0)
    part = batch.part(slice(1, 3))
    (listed,) = part._neighbor_lists.values()
    found = find_neighbors(part.positions, part.n_atoms, 3.0)
    assert torch.equal(listed.pairs, found.pairs)
    assert torch.equal(listed.n_pairs, found.n_pairs)
    assert batch.part(slice(0, 4)).neighbors(3.0) is whole


def test_neighbors_are_listed_anew_after_a_change_in_place():
    batch = batch_of([5])
    before = batch.neighbors(3.0).pairs
    batch.positions.mul_(10.0)
    assert batch.neighbors(3.0).pairs.shape[1] < before.shape[1]
    batch.positions.div_(10.0)
    assert torch.equal(batch.neighbors(3.0).pairs, before)


@pytest.mark.parametrize("cell", [np.full((3, 3), np.nan), np.zeros((3, 3)), 1e-7 * np.eye(3)])
def test_check_refuses_an_impossible_cell(cell):
    crystal = MoleculeBatch.from_ase(bulk("C", "diamond", a=3.6))
    with pytest.raises(InputError, match=r"molecule 0 (has a cell that is not finite|is periodic)"):
        replace(crystal, cell=torch.from_numpy(cell)[None]).check()


def test_check_of_two_atoms_in_a_huge_cell_takes_no_time():
    wide = Atoms("C2", positions=[[0, 0, 0], [0, 0, 1.5]], cell=[1e6] * 3, pbc=True)
    neighbors = MoleculeBatch.from_ase(wide).check().neighbors(0.1)
    assert neighbors.pairs.shape == (2, 0)


@pytest.mark.parametrize("periodic", [False, True])
def test_neighbors_are_selected_from_a_list_of_a_larger_cutoff(periodic):
    images = [bulk("C", "diamond", a=3.6)] if periodic else [molecule("C6H6"), molecule("H2O")]
    batch, again = (MoleculeBatch.from_ase(images) for _ in range(2))
    batch.neighbors(6.0)
    found, wanted = batch.neighbors(2.6), again.neighbors(2.6)
    assert torch.equal(found.pairs, wanted.pairs)
    assert torch.equal(found.n_pairs, wanted.n_pairs)
    if periodic:
        assert torch.equal(found.images, wanted.images)
