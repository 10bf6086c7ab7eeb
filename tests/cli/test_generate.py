"""``molrl generate`` with tasks of any kind."""

import csv

import pytest
from ase.io import read
from rdkit import Chem

from molrl.cli.main import main
from molrl.files import read_molecules

METHANE = "kind: scaffold\nscaffold: '*C'\nbag: H\n"
INLINE = "{kind: scaffold, scaffold: '*C', bag: H}"


@pytest.mark.parametrize("task", ["task.yaml", INLINE], ids=["file", "yaml"])
def test_generate_makes_molecules_of_a_task(task, here, capsys):
    (here / "task.yaml").write_text(METHANE)
    output = str(here / "out.extxyz")
    assert (
        main(["generate", "--method", "random:gfn2", "--task", task, "-n", "2", "-o", output]) == 0
    )
    assert [sorted(z.tolist()) for z, _ in read_molecules(output).arrays()] == [[1] * 4 + [6]] * 2
    assert "scaffold (scaffold *C, bag H)" in capsys.readouterr().out


def test_generate_reads_a_formula_as_a_task(here):
    output = str(here / "out.extxyz")
    arguments = ["--method", "random:gfn2", "--task", "CO", "-n", "1", "-o", output]
    assert main(["generate", *arguments]) == 0
    assert read_molecules(output).n_atoms.tolist() == [2]


@pytest.mark.parametrize("name", ["out.extxyz", "out.sdf"])
def test_generate_writes_energy_validity_and_reason(name, here, capsys):
    made = ["generate", "--method", "random:gfn2", "--bag", "CO", "-n", "6"]
    assert main([*made, "-o", name]) == 0
    assert main(["evaluate", name, "--csv", "all.csv"]) == 0
    with open("all.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if name.endswith("sdf"):
        mols = list(Chem.SDMolSupplier(name, removeHs=False, sanitize=False))
        infos = [mol.GetPropsAsDict() for mol in mols]
    else:
        images = read(name, ":")
        infos = [{**i.info, "energy_eV": i.get_potential_energy()} for i in images]
    assert [info["energy_eV"] for info in infos] == [
        pytest.approx(float(row["energy_eV"]), abs=1e-2) for row in rows
    ]
    for key in ("valid", "reason", "smiles", "formula"):
        assert [str(info[key]) for info in infos] == [row[key] for row in rows], key
    assert {row["valid"] for row in rows} == {"True", "False"}
    out = capsys.readouterr().out
    assert "valid per attempt" in out


def test_generate_replaces_a_file_only_by_force(here, capsys):
    (here / "out.sdf").write_text("mine")
    made = ["generate", "--method", "random:gfn2", "--bag", "CO", "-n", "1", "-o", "out.sdf"]
    assert main(made) == 2
    assert "out.sdf already exists; name another, or add --force" in capsys.readouterr().err
    assert (here / "out.sdf").read_text() == "mine"
    assert main([*made, "--force"]) == 0
    assert (here / "out.sdf").read_text() != "mine"


def test_generate_says_how_it_reads_a_formula_that_looks_like_a_smiles(here, capsys):
    made = ["generate", "--method", "random:gfn2", "-n", "1", "-o", "a.sdf", "--force", "--bag"]
    assert main([*made, "OCO"]) == 0
    assert capsys.readouterr().err == (
        "molrl: OCO is read as the formula CO2; a SMILES is not taken here\n"
    )
    assert main([*made, "CO2"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("bag", "odd"), [("CH3", True), ("CH2", False)])
def test_generate_says_that_no_molecule_can_be_valid(bag, odd, here, capsys):
    assert main(["generate", "--method", "covariant", "--bag", bag, "-n", "1", "-o", "a.sdf"]) == 0
    said = f"molrl: {bag} has an odd number of electrons, so that no molecule counts as valid"
    assert (said in capsys.readouterr().err) == odd


def test_generate_counts_the_electrons_of_an_ion(here, capsys):
    made = ["generate", "--method", "random-search", "-n", "1", "energy=gfn2", "charge=1"]
    assert main([*made, "--bag", "H3O", "-o", "a.SDF"]) == 0
    assert "odd number" not in capsys.readouterr().err
    assert "[OH3+]" in (here / "a.SDF").read_text(encoding="utf-8")
    assert main([*made, "--bag", "CH4", "-o", "b.sdf"]) == 2
    assert "closed-shell molecules; CH4 with charge 1 is none" in capsys.readouterr().err


def test_generate_names_the_model_that_does_not_know_an_element(here, capsys):
    made = ["generate", "--method", "random-search", "--bag", "CH3Cl", "-n", "1", "-o", "a.sdf"]
    assert main(made) == 2
    assert "energy model 'mace' does not know Cl; gfn2 knows most" in capsys.readouterr().err


def test_generate_tells_the_temperature_of_an_agent(here, capsys):
    arguments = ["generate", "--bag", "CH4O", "-n", "2", "--method"]
    assert main([*arguments, "covariant", "-o", "a.sdf"]) == 0
    assert "sampling temperature 0.85" in " ".join(capsys.readouterr().out.split())
    assert main([*arguments, "covariant", "-o", "b.sdf", "temperature=1.5"]) == 0
    assert "sampling temperature 1.5" in " ".join(capsys.readouterr().out.split())
    assert main([*arguments, "random:gfn2", "-o", "c.sdf"]) == 0
    assert "temperature" not in capsys.readouterr().out
