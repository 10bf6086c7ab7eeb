from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from rdkit.DataStructs import TanimotoSimilarity
from scipy.spatial.transform import Rotation

from molrl.chemistry.bonds import validity
from molrl.chemistry.embedding import from_smiles
from molrl.evaluation.describe_worker import failed_checks, symmetric_rmsd, work
from molrl.evaluation.description import change, describe, diversity
from molrl.molecules import MoleculeBatch


def of(*smiles):
    return MoleculeBatch.from_rdkit([from_smiles(one, seed=0) for one in smiles])


def placed(mol, positions):
    moved = Chem.Mol(mol)
    moved.GetConformer().SetPositions(np.ascontiguousarray(positions, np.float64))
    return moved


@pytest.mark.parametrize("smiles", ["C", "CO", "CC(C)(C)C", "c1ccccc1", "OC(=O)C(=O)O"])
def test_symmetric_rmsd_of_a_renumbering_that_keeps_the_bonds_is_zero(smiles):
    mol = from_smiles(smiles, seed=0)
    x = mol.GetConformer().GetPositions()
    turned = Rotation.random(random_state=0).apply(x) + 5.0
    rank = list(Chem.CanonicalRankAtoms(mol, breakTies=False))
    alike = max(set(rank), key=rank.count)
    here = [i for i, r in enumerate(rank) if r == alike]
    if smiles in ("C", "CO"):  # a cyclic exchange, which is a rotation of the methyl group
        here = here[:3]
        turned[here] = turned[np.roll(here, 1)]
    assert symmetric_rmsd(placed(mol, turned), mol) < (1e-4 if smiles != "CO" else 0.1)


def test_symmetric_rmsd_finds_the_symmetry_that_the_order_of_the_atoms_hides():
    mol = from_smiles("CC(C)(C)C", seed=0)
    x = mol.GetConformer().GetPositions()
    methyls = [[a.GetIdx() for a in mol.GetAtomWithIdx(i).GetNeighbors() if a.GetAtomicNum() == 1]
               for i in (0, 2, 3, 4)]  # fmt: skip
    order = np.arange(len(x))
    order[[0, 2, 3]] = [2, 3, 0]
    for one, other in ((0, 1), (1, 2), (2, 0)):
        order[methyls[one]] = methyls[other]
    shuffled = placed(mol, x[order])
    assert np.sqrt(((x[order] - x) ** 2).sum(1).mean()) > 1
    assert symmetric_rmsd(shuffled, mol) < 0.05  # the force field leaves it slightly unsymmetric


def test_symmetric_rmsd_of_another_mesomeric_form_is_that_of_the_positions():
    one = from_smiles("CN1C=C[N+](CC)=C1", seed=0)
    other = Chem.RWMol(one)  # the same atoms; the double bond and the charge move
    ring = {"N": 1, "C": 7, "N+": 4}
    for pair, order in ((("N", "C"), Chem.BondType.DOUBLE), (("C", "N+"), Chem.BondType.SINGLE)):
        bond = other.GetBondBetweenAtoms(*(ring[name] for name in pair))
        bond.SetIsAromatic(False)
        bond.SetBondType(order)
    other.GetAtomWithIdx(ring["N"]).SetFormalCharge(1)
    other.GetAtomWithIdx(ring["N+"]).SetFormalCharge(0)
    one_form, other_form = Chem.Mol(one), other.GetMol()
    for mol in (one_form, other_form):
        Chem.Kekulize(mol, clearAromaticFlags=True)
    assert Chem.MolToSmiles(one_form) != Chem.MolToSmiles(other_form)
    assert symmetric_rmsd(one_form, other_form) < 1e-4


def test_symmetric_rmsd_of_another_tautomer_is_none():
    one, other = (from_smiles(s, seed=0) for s in ("CN=C(C)[NH3+]", "C[NH2+]C(C)=N"))
    assert symmetric_rmsd(one, other) is None


@pytest.mark.parametrize("name", ["ClF3", "CH3CH2OH"])
def test_work_describes_chlorine_of_three_bonds(name):
    (mol,) = validity(MoleculeBatch.from_ase(molecule(name))).mols
    made = work(mol.ToBinary(), mol.ToBinary())
    assert made["inchikey"] == made["relaxed_inchikey"]
    assert made["rmsd"] < 1e-4
    assert made["fingerprint"]


def test_symmetric_rmsd_does_not_mirror():
    mol = from_smiles("C[C@H](O)F", seed=0)
    x = mol.GetConformer().GetPositions()
    assert symmetric_rmsd(placed(mol, x * [1, 1, -1]), mol) > 0.2


def test_symmetric_rmsd_of_other_bonds_is_none():
    assert symmetric_rmsd(from_smiles("CCO", 0), from_smiles("COC", 0)) is None


SOUND = ["CCO", "c1ccccc1", "C=C", "C1CCCCC1", "O=C1NC=CC=C1", "CC(=O)N", "FS(F)(F)(F)(F)F", "C#N"]


@pytest.mark.parametrize("smiles", SOUND)
def test_failed_checks_of_embedded_molecules_are_none(smiles):
    assert failed_checks(from_smiles(smiles, seed=0)) == []


def stretched(x):
    x[0] -= 0.9 * (x[1] - x[0])


def folded(x):
    x[2] = x[0] + 0.4 * (x[2] - x[0])


def bent(x):
    x[0] += [0, 0, 0.6]


def twisted(x):
    axis = x[1] - x[0]
    turn = Rotation.from_rotvec(axis / np.linalg.norm(axis) * 0.9)
    for i in (4, 5):
        x[i] = x[1] + turn.apply(x[i] - x[1])


def flattened(x):
    centre = x[:6].mean(0)
    normal = np.linalg.svd(x[:6] - centre)[2][-1]
    x[:6] -= ((x[:6] - centre) @ normal)[:, None] * normal


@pytest.mark.parametrize(
    ("smiles", "distort", "name"),
    [
        ("CCO", stretched, "bond lengths"),
        ("CCO", folded, "bond angles"),
        ("c1ccccc1", bent, "aromatic ring flatness"),
        ("C=C", twisted, "double bond flatness"),
        ("C1CCCCC1", flattened, "flat saturated ring"),
    ],
)
def test_failed_checks_names_what_is_distorted(smiles, distort, name):
    mol = from_smiles(smiles, seed=0)
    x = mol.GetConformer().GetPositions()
    if smiles == "c1ccccc1":
        x = Rotation.align_vectors([[0, 0, 1]], [np.linalg.svd(x - x.mean(0))[2][-1]])[0].apply(x)
    distort(x)
    assert name in failed_checks(placed(mol, x))


def test_failed_checks_names_clashes():
    mol = from_smiles("CCCCCCC", seed=0)
    x = mol.GetConformer().GetPositions()
    x[6] = x[0] + [0.8, 0, 0]
    assert "clashes" in failed_checks(placed(mol, x))


def test_failed_checks_of_bounds_follow_those_of_rdkit():
    mol = from_smiles("CC(N)C(=O)O", seed=0)
    bounds = rdDistGeom.GetMoleculeBoundsMatrix(mol, set15bounds=True, scaleVDW=True)
    x = mol.GetConformer().GetPositions()
    direction = (x[1] - x[0]) / np.linalg.norm(x[1] - x[0])
    for scale, fails in ((1.24, False), (1.27, True)):
        moved = x.copy()
        moved[0] = x[1] - direction * bounds[0, 1] * scale
        assert ("bond lengths" in failed_checks(placed(mol, moved))) == fails


def mols(batch):
    return validity(batch).mols


@pytest.mark.parametrize(
    ("before", "after", "n_fragments", "expected"),
    [
        ("CCO", "CCO", (1, 1), "same"),
        ("CCO", "COC", (1, 1), "changed"),
        ("CCO", "C=C.O", (1, 2), "fragmented"),
        ("C[C@H](O)F", "C[C@@H](O)F", (1, 1), "mirrored"),
        ("C[C@H](O)[C@H](F)Cl", "C[C@@H](O)[C@H](F)Cl", (1, 1), "changed"),
        ("F/C=C/F", "F/C=C\\F", (1, 1), "changed"),
        ("C", None, (1, 1), "changed"),
    ],
)
def test_change_names_what_became_of_a_molecule(before, after, n_fragments, expected):
    old, new = (Chem.MolFromSmiles(s) if s else None for s in (before, after))
    assert change(old, new, n_fragments) == expected


def test_description_does_not_depend_on_place_rotation_and_order():
    batch = of("CC(=O)NC", "C[C@H](O)F", "c1ccoc1")
    rng = np.random.default_rng(0)
    orders = [rng.permutation(int(n)) for n in batch.n_atoms]
    arrays = [
        (numbers[order], Rotation.random(random_state=i).apply(x[order]) + rng.normal(0, 3, 3))
        for i, ((numbers, x), order) in enumerate(zip(batch.arrays(), orders, strict=True))
    ]
    here, there = (validity(b) for b in (batch, MoleculeBatch.from_arrays(arrays)))
    one, other = describe(here, here), describe(there, there)
    assert one.inchikey == other.inchikey
    assert one.fingerprints == other.fingerprints
    assert one.failed_checks == other.failed_checks == [()] * 3
    np.testing.assert_allclose(one.accessibility, other.accessibility)
    np.testing.assert_allclose(other.rmsd, 0, atol=1e-4)


def test_describe_gives_inchikeys_and_leaves_molecules_without_bonds_out():
    cation = molecule("CH4")
    cation.info["charge"] = 1  # it has no Lewis structure
    batch = MoleculeBatch.from_ase([molecule("CH3OH"), cation])
    moved = replace(batch, positions=batch.positions + torch.tensor([1.0, 0.0, 0.0]))
    found = describe(validity(batch), validity(moved))
    assert found.inchikey[0] == found.relaxed_inchikey[0] == "OKKJLVBELUTLKV-UHFFFAOYSA-N"
    assert found.inchikey[1:] == [None]
    assert found.failed_checks[1] is None
    assert np.isnan(found.rmsd).tolist() == [False, True]
    assert found.passed.tolist() == [True, False]


class Broken:
    """A molecule whose binary form RDKit cannot read."""

    def ToBinary(self):
        return b"nothing"


def test_describe_gives_a_reason_where_the_child_process_fails():
    sound = validity(MoleculeBatch.from_ase(molecule("H2O")))
    pair = replace(sound, mols=[Broken(), *sound.mols])
    found = describe(pair, replace(sound, mols=[None, *sound.mols]))
    assert list(found.failures) == [0]
    assert "twice" in found.failures[0]
    assert found.inchikey == [None, "XLYOFNOQVPJJNP-UHFFFAOYSA-N"]


def test_diversity_is_the_mean_tanimoto_distance_of_pairs():
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    chosen = [from_smiles(s, 0) for s in ("CCO", "c1ccccc1", "CC(=O)N", "C1CC1")]
    bits = [frozenset(work(mol.ToBinary(), None)["fingerprint"]) for mol in chosen]
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(Chem.RemoveHs(mol)) for mol in chosen]
    pairs = [TanimotoSimilarity(a, b) for i, a in enumerate(prints) for b in prints[:i]]
    assert diversity(bits) == pytest.approx(1 - np.mean(pairs))
    assert diversity(bits[:1]) is None
    assert diversity([bits[0]] * 1500) == pytest.approx(0)
