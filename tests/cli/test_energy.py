"""molrl energy: data, then a fit that can be resumed, then its errors, on real physics."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.io import write
from tblite.ase import TBLite

from molrl.chemistry.molecule_set import shipped_molecules
from molrl.cli.main import main
from molrl.energy import load_energy
from molrl.fitting.accuracy import errors_of
from molrl.fitting.data import Dataset, load_data
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.config import override_defaults
from molrl.runs.metrics import read_metrics
from molrl.runs.weights import sha256

DATA = """
output: data.npz
max_heavy: 3
counts: {relaxed: 20, distorted: 40, twisted: 5, half_built: 30, placed: 20, clash: 10,
         fragments: 10, pair: 30, random_walks: 10, partially_relaxed: 5}
"""
FIT = """
data: [data.npz]
run_dir: whole
steps: 40
warmup: 5
batch_size: 8
checkpoint_every: 20
network: {channels: 8, radial_mlp: [16]}
"""
WATER = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    """A folder with data and the fit ``whole``."""
    folder = tmp_path_factory.mktemp("fits")
    for name, text in (("data.yaml", DATA), ("fit.yaml", FIT), ("water.xyz", WATER)):
        (folder / name).write_text(text)
    data = folder / "data.npz"
    assert main(["energy", "data", str(folder / "data.yaml"), f"output={data}"]) == 0
    paths = [f"data=[{data}]", f"run_dir={folder / 'whole'}"]
    assert main(["energy", "fit", str(folder / "fit.yaml"), *paths]) == 0
    return folder


def test_data_command_makes_structures_of_every_kind(fits):
    data = Dataset.load(fits / "data.npz")
    assert set(data.kinds) >= {"relaxed", "distorted", "half-built", "placed", "clash", "pair"}


def test_fit_writes_a_row_and_a_checkpoint_when_due(fits):
    rows = read_metrics(fits / "whole" / "metrics.csv")
    assert [row["steps"] for row in rows] == [20, 40]
    names = {path.name for path in (fits / "whole").iterdir()}
    assert names >= {"config.yaml", "versions.json", "summary.json", "checkpoints"}
    weights = fits / "whole" / "mace.json"
    assert load_energy(f"mace:{weights}").elements == (1, 6, 7, 8, 9, 16)


def test_fit_writes_a_card(fits):
    run = fits / "whole"
    card = json.loads((run / "card.json").read_text())
    model = load_energy(f"mace:{run / 'mace.json'}")
    assert card["model"] == f"mace {model.hash}"
    assert card["weights"]["sha256"] == sha256((run / "mace.safetensors").read_bytes())
    data = Dataset.load(fits / "data.npz")
    (file,) = card["files"]
    assert file["SHA-256"] == sha256((fits / "data.npz").read_bytes())
    assert len(data) == sum(card["structures"][-1][split] for split in data.splits)
    assert card["notes"] == {"isolated_atoms": "H, C, N, O, F, S: of gfn2"}
    assert card["config"]["seed"] == 0
    assert card["versions"]["torch"]
    assert card["speed"]["fitted_per_second"] > 0
    assert card["speed"]["energies_per_second"] > 0
    wanted = errors_of(model, data[data.split == data.splits.index("valid")])
    for recorded, row in zip(card["errors"]["valid"], wanted.by_kind(), strict=True):
        assert recorded.pop("kind") == row.pop("kind")
        assert recorded == pytest.approx(row, rel=1e-4)  # in float32
    text = (run / "card.md").read_text()
    for picture in ("parity.png", "curve.png"):
        assert f"]({picture})" in text
        assert (run / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.bitwise
def test_fit_resumes_bit_for_bit(fits, tmp_path):
    run = tmp_path / "moved"
    shutil.copytree(fits / "whole", run)
    (run / "summary.json").unlink()
    (run / "mace.json").unlink()
    (run / "card.json").unlink()
    shutil.rmtree(Checkpoints(run / "checkpoints").path(40))
    assert main(["resume", str(run)]) == 0
    for name in ("metrics.csv", "mace.safetensors", "mace.json"):
        assert (run / name).read_bytes() == (fits / "whole" / name).read_bytes()
    cards = [json.loads((folder / "card.json").read_text()) for folder in (run, fits / "whole")]
    assert cards[0]["errors"] == cards[1]["errors"]
    assert cards[0]["model"] == cards[1]["model"]


@pytest.mark.bitwise
def test_fit_resumed_without_its_log_computes_the_errors_again(fits, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(fits / "whole", run)
    summary = json.loads((run / "summary.json").read_text())
    for name in ("summary.json", "metrics.csv"):
        (run / name).unlink()
    assert main(["resume", str(run)]) == 0
    assert "metrics.csv: rows are missing after step 0 up to step" in capsys.readouterr().err
    again = json.loads((run / "summary.json").read_text())
    assert {name for name in again if name.startswith("valid_")} <= summary.keys()
    for name in ("steps", "valid_energy_mae", "valid_force_mae"):
        assert again[name] == summary[name], name


def test_fit_resumed_with_more_steps_fits_on(fits, tmp_path, capsys):
    run = tmp_path / "longer"
    shutil.copytree(fits / "whole", run)
    assert main(["resume", str(run), "steps=60"]) == 0
    rows = read_metrics(run / "metrics.csv")
    assert [row["steps"] for row in rows] == [20, 40, 60]
    assert rows[2]["learning_rate"] < rows[0]["learning_rate"]
    assert json.loads((run / "card.json").read_text())["config"]["steps"] == 60
    assert main(["resume", str(run), "total_steps=80"]) == 2
    assert "only steps=N can be given" in capsys.readouterr().err


@pytest.mark.bitwise
def test_fit_stopped_by_a_signal_saves_and_resumes(fits, tmp_path, run_signalled):
    run = tmp_path / "run"
    fit = ["energy", "fit", fits / "fit.yaml", f"data=[{fits / 'data.npz'}]", f"run_dir={run}"]
    code, said = run_signalled(signal.SIGTERM, 27, *fit)
    assert code == 143
    assert said.startswith("molrl: stopped by SIGTERM; saved at step 27; resume with")
    assert Checkpoints(run / "checkpoints").steps() == [20, 27]
    assert main(["resume", str(run)]) == 0
    for name in ("metrics.csv", "mace.safetensors", "mace.json"):
        assert (run / name).read_bytes() == (fits / "whole" / name).read_bytes()


def test_fit_extended_and_stopped_leaves_weights_without_the_former_s_uncertainty_and_card(
    fits, tmp_path, run_signalled
):
    run = tmp_path / "longer"
    shutil.copytree(fits / "whole", run)
    assert load_energy(f"mace:{run / 'mace.json'}").offers_uncertainty
    code, _ = run_signalled(signal.SIGTERM, 43, "resume", run, "steps=60")
    assert code == 143
    assert not load_energy(f"mace:{run / 'mace.json'}").offers_uncertainty
    left = {path.name for path in run.iterdir()}
    assert not left & {"card.json", "card.md", "parity.png", "mace.uncertainty.safetensors"}
    assert main(["resume", str(run)]) == 0
    assert load_energy(f"mace:{run / 'mace.json'}").offers_uncertainty
    assert (run / "card.md").is_file()


def test_resume_of_a_fit_refuses_data_that_have_changed_in_one_line(fits, tmp_path, capsys):
    run = tmp_path / "changed"
    shutil.copytree(fits / "whole", run)
    data = Dataset.load(fits / "data.npz")
    data[torch.arange(len(data)) != 5].save(tmp_path / "data.npz")
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace(str(fits), str(tmp_path)))
    capsys.readouterr()
    assert main(["resume", str(run), "steps=60"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"{tmp_path / 'data.npz'} has changed since the run began" in said


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Forty distorted geometries of eight molecules by GFN1-xTB, one in five of the valid split."""
    shipped = shipped_molecules()
    small = shipped[(shipped.molecules.n_atoms >= 4) & (shipped.molecules.n_atoms <= 7)]
    rng = np.random.default_rng(0)
    images = []
    for atoms in small[:: len(small) // 8][:8].molecules.to_ase():
        for i in range(5):
            image = atoms.copy()
            image.rattle(0.04, rng=rng)
            image.calc = TBLite(method="GFN1-xTB", verbosity=0)
            image.get_forces()
            image.info["split"] = "valid" if i == 4 else "train"
            images.append(image)
    path = tmp_path_factory.mktemp("labelled") / "mine.extxyz"
    write(path, images)
    return path


def test_fit_fine_tunes_a_shipped_model_from_the_command_line_alone(labelled, here, capsys):
    fit = ["energy", "fit", f"data={labelled}", "start=mace", "batch_size=8", "warmup=10"]
    settings = ["steps=60", "learning_rate=0.003", "ema=0.9", "checkpoint_every=30"]
    assert main([*fit, "run_dir=after", *settings]) == 0
    said = capsys.readouterr()
    assert "H, C, N, O, F, S: least squares over 8 compositions" in said.err
    assert "valid force mae at start" in said.out
    after = json.loads(Path("after/summary.json").read_text())
    assert after["valid_force_mae"] < 0.7 * after["valid_force_mae_at_start"]
    assert after["valid_energy_mae"] < 0.5 * after["valid_energy_mae_at_start"]
    card = Path("after/card.md").read_text()
    assert "isolated atoms: H, C, N, O, F, S: least squares over 8 compositions" in card
    assert f"valid force mae at start: {after['valid_force_mae_at_start']:.4g}" in card
    data = load_data(labelled)
    model = load_energy("mace:after/mace.json")
    errors = errors_of(model, data[data.split == data.splits.index("valid")])
    assert float(errors.force.mean()) == pytest.approx(after["valid_force_mae"], rel=1e-3)
    assert len(data) == 40
    Path("after/summary.json").unlink()
    shutil.rmtree(Checkpoints(Path("after/checkpoints")).path(60))
    assert main(["resume", "after"]) == 0
    resumed = json.loads(Path("after/summary.json").read_text())
    assert resumed["valid_force_mae"] == pytest.approx(after["valid_force_mae"], rel=1e-3)


def test_fit_takes_labelled_data_in_place_of_those_of_a_config(labelled, here):
    config = Path(__file__).parents[2] / "experiments" / "energy" / "finetune.yaml"
    assert main(["energy", "fit", str(config), f"data={labelled}", "run_dir=run", "steps=2"]) == 0
    assert load_energy("mace:run/mace.json").elements == load_energy("mace").elements


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "atomic_energies={H: -13.6, C: -1029.0, O: -2041.0}",
            "of another level of theory",
        ),
        ("atomic_energies={Hydrogen: -13.6}", "'Hydrogen' is not the symbol of an element"),
        ("energy_key=dft", "has no energy_key 'dft'"),
        ("reference=gfn3", "did you mean 'gfn2'"),
        ("data=[]", "name one file"),
        ("start=mace-omol", "'mace-omol' is none of mace, mace-small and .json files"),
        ("datum=1", "datum"),
    ],
)
def test_fit_refuses_bad_labelled_data_before_it_writes(labelled, here, capsys, setting, message):
    defaults = [f"data={labelled}", "start=mace", "run_dir=run"]
    assert main(["energy", "fit", *override_defaults(defaults, [setting])]) == 2
    said = capsys.readouterr().err.splitlines()
    assert message in said[-1]
    assert list(here.iterdir()) == []


def test_resume_refuses_a_log_with_other_kinds_in_one_line(fits, tmp_path, capsys):
    run = tmp_path / "older"
    shutil.copytree(fits / "whole", run)
    (run / "summary.json").unlink()
    log = (run / "metrics.csv").read_text()
    (run / "metrics.csv").write_text(log.replace("/random walk", "/walk"))
    capsys.readouterr()
    assert main(["resume", str(run)]) == 2
    assert "the run folder is of an older version; fit again" in capsys.readouterr().err


def test_fit_starts_from_the_name_that_a_fit_printed(fits, tmp_path):
    start = f"start=mace:{fits / 'whole' / 'mace.json'}"
    settings = [f"data={fits / 'data.npz'}", f"run_dir={tmp_path / 'run'}", "steps=2"]
    assert main(["energy", "fit", *settings, start]) == 0
    assert (tmp_path / "run" / "mace.json").is_file()


def water(n):
    """Structures of water by GFN1-xTB, the last of them of the valid split."""
    rng, images = np.random.default_rng(0), []
    for i in range(n):
        image = molecule("H2O")
        image.rattle(0.04, rng=rng)
        image.calc = TBLite(method="GFN1-xTB", verbosity=0)
        image.get_forces()
        image.info["split"] = "valid" if i == n - 1 else "train"
        images.append(image)
    return images


def test_fit_to_few_structures_writes_its_card_without_uncertainty(here, capsys):
    write("few.extxyz", water(4))
    settings = ["steps=2", "batch_size=2", "network={channels: 8}"]
    assert main(["energy", "fit", "data=few.extxyz", "run_dir=run", *settings]) == 0
    assert "no uncertainty: no element has 10 environments" in capsys.readouterr().err
    assert json.loads(Path("run/card.json").read_text())["config"]["network"]["elements"] == [1, 8]
    model = load_energy("mace:run/mace.json")
    assert model.elements == (1, 8)
    assert not model.offers_uncertainty
    Path("run/summary.json").unlink()
    assert main(["resume", "run"]) == 0


def test_fit_from_a_shipped_model_to_periodic_data_takes_cells(here):
    write("molecules.extxyz", water(4))
    data = load_data("molecules.extxyz")
    cells, periodic = 9 * torch.eye(3).repeat(4, 1, 1), torch.ones(4, 3, dtype=torch.bool)
    data = replace(data, molecules=replace(data.molecules, cell=cells, pbc=periodic))
    data.save("cells.npz")
    settings = ["steps=2", "batch_size=2", "start=mace-small"]
    assert main(["energy", "fit", "data=cells.npz", "run_dir=run", *settings]) == 0
    model = load_energy("mace:run/mace.json")
    assert "stress" in model.implemented_properties
    assert torch.isfinite(model.evaluate(data.molecules).energy).all()


def errors(arguments, capsys):
    """The errors that ``molrl energy evaluate`` prints, by name."""
    capsys.readouterr()
    assert main(["energy", "evaluate", *arguments]) == 0
    rows = (line.rsplit("  ", 1) for line in capsys.readouterr().out.splitlines())
    return {name.strip(): float(value) for name, value in rows if "error" in name}


def test_evaluate_finds_no_errors_against_the_model_itself(fits, capsys):
    water = str(fits / "water.xyz")
    none = errors([water, "--model", "gfn2"], capsys)
    assert list(none.values()) == pytest.approx([0.0] * 5, abs=1e-4)  # two SCFs
    some = errors([water, "--model", f"mace:{fits / 'whole' / 'mace.json'}"], capsys)
    assert some["mean absolute error, eV"] > 0.01
    assert some["mean absolute error, eV per atom"] * 3 == pytest.approx(
        some["mean absolute error, eV"], rel=1e-3
    )


def test_evaluate_compares_methods_of_other_zeros_relative_to_isolated_atoms(fits, capsys):
    """PM6 has no core electrons: its total energies are hundreds of eV from those of GFN2-xTB."""
    pytest.importorskip("scine_sparrow")
    arguments = [str(fits / "water.xyz"), "--model", "pm6", "--against", "gfn2"]
    found = errors(arguments, capsys)
    assert found["mean absolute error, eV"] < 10
    main(["energy", "evaluate", *arguments])
    assert "the errors are of energies relative to isolated atoms" in capsys.readouterr().err
