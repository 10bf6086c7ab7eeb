"""The tasks and figures of SiMGen's benchmarks, on molecules with known results."""

import sys
from pathlib import Path

from rdkit import Chem

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from simgen_linkers import Cut, Filled, cuts, row
from simgen_similar import environments

from molrl.chemistry.molecule_set import shipped_molecules


def ways(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    return [(ends, middle) for ends, middle in cuts(mol)]


def test_cuts_leave_two_ends_of_two_heavy_atoms_and_cut_no_ring_and_no_double_bond():
    ((ends, middle),) = ways("CCOCC")  # diethyl ether without its oxygen
    assert middle == [2]
    assert len(ends) == 14
    assert [m for _, m in ways("CCC(F)CC")] == [[2, 3, 11]]  # with the atoms on the middle
    assert ways("C1CCCCC1") == []
    assert ways("C=CC=CC=C") != []
    assert all(len(m) % 2 == 0 for _, m in ways("C=CC=CC=C"))  # both carbons of the middle one


def test_linker_rows_count_tasks_that_did_not_complete():
    one = shipped_molecules().isomers("C2H6O").molecules[0]
    cut = Cut("CCOCC", one, "O", 1)
    filled = [Filled(cut, 1, "CCOCC"), Filled(cut, 3, "CCCOC"), Filled(cut, 0, None)]
    found = row("all", [*filled, Filled(cut, 2, None)])
    figures = [value for key, value in found.items() if key.endswith("%")]
    assert figures == [25, 75, 50, 25, 25]


def test_environments_of_homologues_are_shared():
    pentane, hexane, benzene = environments(["CCCCC", "CCCCCC", "c1ccccc1"])
    assert pentane == hexane
    assert not pentane & benzene
