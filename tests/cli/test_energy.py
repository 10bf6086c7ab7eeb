"""molrl energy: data, then a fit that can be resumed, then its errors, on real physics."""

import json
import shutil
import signal

import pytest

from molrl.cli.main import main
from molrl.energy import load_energy
from molrl.fitting.accuracy import errors_of
from molrl.fitting.data.dataset import Dataset
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.metrics import read_metrics
from molrl.runs.weights import sha256

DATA = """
output: data.npz
max_heavy: 3
counts: {relaxed: 20, distorted: 40, twisted: 5, half_built: 30, placed: 20, clash: 10, frag: 10,
         pair: 30, walk: 10, settled: 5}
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


def test_the_data_are_of_every_kind(fits):
    data = Dataset.load(fits / "data.npz")
    assert set(data.kinds) >= {"relaxed", "distorted", "half-built", "placed", "clash", "pair"}


def test_the_fit_is_a_run_with_a_row_a_checkpoint(fits):
    rows = read_metrics(fits / "whole" / "metrics.csv")
    assert [row["steps"] for row in rows] == [20, 40]
    names = {path.name for path in (fits / "whole").iterdir()}
    assert names >= {"config.yaml", "versions.json", "summary.json", "checkpoints"}
    weights = fits / "whole" / "mace.json"
    assert load_energy(f"mace:{weights}").elements == (1, 6, 7, 8, 9, 16)


def test_the_fit_ends_with_a_card_of_what_it_is(fits):
    run = fits / "whole"
    card = json.loads((run / "card.json").read_text())
    model = load_energy(f"mace:{run / 'mace.json'}")
    assert card["model"] == f"mace {model.hash}"
    assert card["weights"]["sha256"] == sha256((run / "mace.safetensors").read_bytes())
    data = Dataset.load(fits / "data.npz")
    (file,) = card["files"]
    assert file["SHA-256"] == sha256((fits / "data.npz").read_bytes())
    assert file["structures"] == len(data) == sum(card["structures"][-1][s] for s in data.splits)
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
def test_a_fit_that_broke_off_is_resumed_as_if_it_had_not(fits, tmp_path):
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
def test_a_fit_asked_to_stop_saves_and_goes_on_as_if_it_had_not(fits, tmp_path, run_signalled):
    run = tmp_path / "run"
    fit = ["energy", "fit", fits / "fit.yaml", f"data=[{fits / 'data.npz'}]", f"run_dir={run}"]
    code, said = run_signalled(signal.SIGTERM, 27, *fit)
    assert code == 143
    assert said.startswith("molrl: stopped by SIGTERM; saved at step 27; resume with")
    assert Checkpoints(run / "checkpoints").steps() == [20, 27]
    assert main(["resume", str(run)]) == 0
    for name in ("metrics.csv", "mace.safetensors", "mace.json"):
        assert (run / name).read_bytes() == (fits / "whole" / name).read_bytes()


def errors(arguments, capsys):
    """The errors that ``molrl energy evaluate`` prints, by name."""
    capsys.readouterr()
    assert main(["energy", "evaluate", *arguments]) == 0
    rows = (line.rsplit("  ", 1) for line in capsys.readouterr().out.splitlines())
    return {name.strip(): float(value) for name, value in rows if "error" in name}


def test_errors_of_a_model_against_itself_are_none_and_of_another_are_some(fits, capsys):
    water = str(fits / "water.xyz")
    none = errors([water, "--model", "gfn2"], capsys)
    assert list(none.values()) == pytest.approx([0.0] * 5, abs=1e-4)  # two SCFs
    some = errors([water, "--model", f"mace:{fits / 'whole' / 'mace.json'}"], capsys)
    assert some["mean absolute error, eV"] > 0.01
    assert some["mean absolute error, eV per atom"] * 3 == pytest.approx(
        some["mean absolute error, eV"], rel=1e-3
    )
