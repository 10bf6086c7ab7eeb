"""molrl relax: relaxed molecules, and a list of those that did not converge."""

import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read, write

from molrl.cli.main import main
from molrl.cli.parser import build_parser
from molrl.energy import load_energy
from molrl.energy.networks.config import parse_network
from molrl.energy.networks.interface import build_network
from molrl.energy.networks.potential import Potential, save_potential
from molrl.energy.relaxation import FORCE_TOLERANCE, MAX_STEPS
from molrl.files import read_molecules

NAMES = ["CH3OH", "CH3CONH2", "H2O", "HCOOH"]


@pytest.fixture
def start(here):
    images = [molecule(name) for name in NAMES]
    for image in images:
        image.rattle(0.08, seed=1)
    write("start.extxyz", images)
    return images


def relax(capsys, *arguments):
    """Run the command, and return its table by label and its standard error."""
    assert main(["relax", "start.extxyz", "-o", "out.extxyz", *arguments]) == 0
    out, err = capsys.readouterr()
    rows = [line.rsplit("  ", 1) for line in out.splitlines() if "  " in line]
    return {name.strip(): value.strip() for name, value in rows}, err


@pytest.mark.parametrize("model", ["mace", "gfn2"])
def test_relax_finds_minima_of_the_model(model, start, capsys):
    table, err = relax(capsys, "--model", model, "--force-tolerance", "0.01")
    counts = (
        "molecules",
        "converged",
        "not converged",
        "without an energy",
        "connectivity preserved",
    )
    assert [table[name] for name in counts] == ["4", "4", "0", "0", "4 of 4"]
    assert float(table["median energy gained, eV"]) > 0.1
    assert 0.01 < float(table["median RMSD from the start, Å"]) < 0.5
    assert err == ""
    forces = load_energy(model).evaluate(read_molecules("out.extxyz"), forces=True).forces
    assert forces.norm(dim=-1).max() < 0.011


def test_relax_writes_the_energies_of_the_model(start, capsys):
    relax(capsys)
    images = read("out.extxyz", ":")
    model = load_energy("mace")
    after, before = model.evaluate(images).energy, model.evaluate(start).energy
    assert [image.get_potential_energy() for image in images] == pytest.approx(after, abs=1e-3)
    assert [image.info["start_energy"] for image in images] == pytest.approx(before, abs=1e-3)
    assert all(image.info["converged"] for image in images)
    assert all(0 < image.info["max_force"] <= 0.02 for image in images)
    assert all(image.info["steps"] > 1 for image in images)
    assert [image.symbols.get_chemical_formula() for image in images] == [
        image.symbols.get_chemical_formula() for image in start
    ]


def test_relax_lists_unconverged_molecules(start, capsys):
    table, err = relax(capsys, "--max-steps", "1")
    assert (table["converged"], table["not converged"]) == ("0", "4")
    assert err == "molrl: not converged, by index from 0: 0, 1, 2, 3\n"
    assert not any(image.info["converged"] for image in read("out.extxyz", ":"))


def test_relax_lists_molecules_without_energy_and_writes_them_unchanged(here, capsys):
    stretched = Atoms("CF", [[0, 0, 0], [0, 0, 4.0]])  # its SCF does not converge
    write("start.extxyz", [stretched, molecule("H2O")])
    table, err = relax(capsys, "--model", "gfn2")
    counts = ("converged", "not converged", "without an energy")
    assert [table[name] for name in counts] == ["1", "0", "1"]
    assert err.startswith("molrl: no energy, by index from 0: 0 (GFN2-xTB: ")
    assert err.count("\n") == 1
    written = read_molecules("out.extxyz")
    assert written.positions[:2].numpy() == pytest.approx(stretched.positions, abs=1e-7)


@pytest.mark.parametrize("others", [[], ["H2"]])
def test_relax_summarises_periodic_structures_without_bonds_and_rmsd(others, here, capsys):
    network = build_network(parse_network({"elements": [1, 6], "channels": 4, "cutoff": 3.0}), 0)
    save_potential("cells.json", Potential(network, (-13.6, -1000.0), takes_cells=True))
    crystal = bulk("C", "diamond", a=3.6)
    crystal.rattle(0.05, seed=1)
    write("start.extxyz", [crystal, *map(molecule, others)])
    table, _ = relax(capsys, "--model", "mace:cells.json", "--max-steps", "2")
    assert (table["molecules"], table["without an energy"]) == (str(1 + len(others)), "0")
    assert table["connectivity preserved"] == f"{len(others)} of {len(others)}"
    moved = table["median RMSD from the start, Å"]
    assert float(moved) >= 0 if others else moved == "-"
    assert read("out.extxyz", 0).pbc.all()


def test_relax_command_has_the_defaults_of_the_function():
    arguments = build_parser().parse_args(["relax", "in.extxyz", "-o", "out.extxyz"])
    assert arguments.force_tolerance == FORCE_TOLERANCE
    assert arguments.max_steps == MAX_STEPS


@pytest.mark.parametrize("suffix", [".sdf", ".extxyz"])
def test_names_of_molecules_are_kept(suffix, here, capsys):
    images = [molecule("H2O"), molecule("CH4")]
    images[0].info["name"] = "my water"
    write("start.extxyz", images)
    assert main(["relax", "start.extxyz", "-o", f"out{suffix}", "--model", "mace"]) == 0
    assert main(["evaluate", f"out{suffix}", "-o", "again.sdf", "--csv", "again.csv"]) == 0
    title, *_ = (here / "again.sdf").read_text(encoding="utf-8").splitlines()
    assert title == "my water"
    head, first, second = (here / "again.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith("index,name,formula")
    assert first.startswith("0,my water,H2O")
    assert second.startswith("1,-,CH4")


def test_files_without_names_get_none(start, here, capsys):
    relax(capsys)
    assert "name=" not in (here / "out.extxyz").read_text(encoding="utf-8")
