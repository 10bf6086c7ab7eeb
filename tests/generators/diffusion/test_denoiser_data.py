"""The molecules that denoisers learn from."""

import ase.db
import pytest
import torch

import molrl
from molrl.bags import Bag
from molrl.chemistry.fragments import load_fragment
from molrl.chemistry.molecule_set import SPLITS, shipped_molecules, split_of
from molrl.chemistry.training_set import COMPARED, HELD_OUT, QM7_20, _read, load_training_set
from molrl.errors import InputError
from molrl.generators.diffusion.cloud import Cloud


@pytest.fixture(scope="module")
def shipped():
    return load_training_set()


def test_held_out_formulas_are_those_of_the_comparisons():
    assert len(QM7_20) == 20
    assert max(sum(z > 1 for z in Bag(formula).numbers) for formula in QM7_20) == 7  # as all of QM7
    assert len(HELD_OUT) == 26
    assert {"C4H7N", "C3H8O", "C5H9NO", "C3H5NO3", "C7H10O2", "C7H8N2O2"} == set(COMPARED)


def test_data_hold_no_molecule_of_a_held_out_formula(shipped):
    assert not {bag.formula for bag in shipped.molecules.bags()} & HELD_OUT
    every = shipped_molecules().molecules.bags()
    assert len(shipped) == sum(bag.formula not in HELD_OUT for bag in every) < len(every)


def test_splits_are_those_of_the_identities(shipped):
    assert [SPLITS[i] for i in shipped.split.tolist()] == list(map(split_of, shipped.identities))
    assert shipped.elements == (1, 6, 7, 8, 9, 16)


def some_molecules():
    chosen = shipped_molecules().of_split("valid").molecules[:20]
    chosen = molrl.MoleculeBatch.cat([chosen, shipped_molecules().molecules[400:420]])
    return molrl.MoleculeBatch.cat([chosen, chosen])


def test_files_are_split_by_identity_so_that_conformers_stay_together(tmp_path, shipped):
    path = tmp_path / "mine.sdf"
    molrl.write(path, some_molecules())
    found = load_training_set((str(path), str(path)))
    splits = {}
    for name, split in zip(found.identities, found.split.tolist(), strict=True):
        assert splits.setdefault(name, split) == split
    assert len(found) == 2 * sum(b.formula not in HELD_OUT for b in some_molecules().bags())


def test_databases_and_files_give_the_same_molecules(tmp_path):
    written = some_molecules()
    molrl.write(tmp_path / "mine.extxyz", written)
    with ase.db.connect(tmp_path / "mine.db") as database:
        for atoms in written.to_ase():
            database.write(atoms)
    one, other = (load_training_set((str(tmp_path / f"mine.{s}"),)) for s in ("extxyz", "db"))
    assert one.identities == other.identities
    assert torch.allclose(one.molecules.positions, other.molecules.positions, atol=1e-4)


def test_databases_keep_the_charges_of_their_rows(tmp_path):
    ammonium, hydroxide = load_fragment("[NH4+]"), load_fragment("[OH-]")
    with ase.db.connect(tmp_path / "ions.db") as database:
        for ion, stated in ((ammonium, {"total_charge": 1}), (hydroxide, {})):
            atoms = ase.Atoms(ion.numbers, ion.positions)
            database.write(atoms, data={} if stated else {"charge": -1}, key_value_pairs=stated)
    assert _read(tmp_path / "ions.db").charge.tolist() == [1, -1]


def test_a_missing_database_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.db does not exist"):
        load_training_set((str(tmp_path / "none.db"),))


def test_data_without_a_valid_split_are_refused(tmp_path):
    molrl.write(tmp_path / "one.extxyz", shipped_molecules().isomers("CH4O").molecules)
    with pytest.raises(InputError, match="no molecule is of the valid split"):
        load_training_set((str(tmp_path / "one.extxyz"),))


def test_clouds_are_centred_and_give_the_molecules_back(shipped):
    few = shipped.molecules[[0, 100, 2000]]
    cloud = Cloud.of_molecules(few, shipped.elements)
    assert float(cloud.positions.sum(1).abs().max()) < 1e-4
    assert cloud.features.max() == 0.25
    back = cloud.to_molecules(shipped.elements)
    assert torch.equal(back.numbers, few.numbers)
    assert [bag.formula for bag in back.bags()] == [Bag(b).formula for b in few.bags()]
    lengths = [torch.pdist(part.positions) for part in (few[2], back[2])]
    assert torch.allclose(*lengths, atol=1e-4)
