import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from molrl.agents.random import RandomAgent
from molrl.energy import load_energy
from molrl.energy.networks.potential import load_potential, save_potential
from molrl.errors import InputError
from molrl.fitting.active.config import LearnConfig
from molrl.fitting.active.learn import Learning
from molrl.fitting.data.dataset import Dataset
from molrl.plotting.rounds import plot_rounds
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.config import parse_config
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import read_metrics
from molrl.runs.trainer import restore_latest, train
from molrl.runs.weights import load_weights

SOURCES = ("hyperactive", "placements", "gradient", "episodes", "minima", "generated")


def config(folder, run, **changes):
    given = {
        "run_dir": str(run),
        "start": str(folder / "mace.json"),
        "data": [str(folder / "data.npz")],
        "rounds": 2,
        "labels": 20,
        "shares": dict.fromkeys(SOURCES, 1) | {"overbound": 1},
        "bags": ["CH4O", "CH2O"],
        "generators": ["random"],
        "generator_bags": ["CH2O"],
        "guards": [0.65],
        "placements": 10,
        "dynamics": {"steps": 5},
        "fit": {"steps": 20, "batch_size": 8, "checkpoint_every": 10, "warmup": 2},
        "attacks": {"molecules": 4, "placements": 10},
    }
    return parse_config(given | changes, LearnConfig, "config")


def learn(settings):
    """Learn in the run folder, resumed from its latest checkpoint if it has one."""
    learning = Learning(settings, [RandomAgent("gfn2")], lambda *_: None)
    restore_latest(learning, Path(settings.run_dir), print)
    train(learning, RunFolder(settings.run_dir))


@pytest.fixture(scope="module")
def whole(start, tmp_path_factory):
    """A run of two rounds."""
    run = tmp_path_factory.mktemp("learn") / "whole"
    learn(config(start, run))
    return run


def test_learning_adds_labels_weights_and_a_row_in_each_round(whole, start):
    rows = read_metrics(whole / "metrics.csv")
    assert [row["round"] for row in rows] == [0, 1, 2]
    labels = [len(Dataset.load(whole / f"round-{k}.npz")) for k in (1, 2)]
    assert [row["labels"] for row in rows] == [0, labels[0], sum(labels)]
    assert min(labels) >= 12
    first = Dataset.load(whole / "round-1.npz")
    kinds = {"hyperactive", "adversarial", "greedy", "minimum", "generated", "overbound"}
    assert set(first.kinds) <= kinds
    assert len(first.kinds) >= 5
    assert (first.split == first.splits.index("train")).all()
    assert all(row["gradient_open_worst_error"] is not None for row in rows)


def test_learning_round_0_is_the_start_and_all_have_an_uncertainty(whole, start):
    begun, _ = load_weights(whole / "round-0" / "mace.json", kind="network")
    given, _ = load_weights(start / "mace.json", kind="network")
    assert all((begun[name] == given[name]).all() for name in given)
    for number in (0, 1, 2):
        model = load_energy(f"mace:{whole / f'round-{number}' / 'mace.json'}")
        waters = Dataset.load(whole / "round-1.npz").molecules[:2]
        assert model.evaluate(waters, uncertainty=True).uncertainty is not None


@pytest.mark.bitwise
@pytest.mark.parametrize("left", [1, 2])
def test_learning_that_was_interrupted_resumes_to_the_same_files(whole, start, tmp_path, left):
    run = tmp_path / "moved"
    shutil.copytree(whole, run)
    checkpoints = Checkpoints(run / "checkpoints")
    assert checkpoints.steps() == [0, 20, 40]
    for step in checkpoints.steps()[left:]:
        shutil.rmtree(checkpoints.path(step))
    (run / "summary.json").unlink()
    shutil.rmtree(run / "round-2")
    if left == 1:
        (run / "round-2.npz").unlink()
        (run / "round-1" / "mace.uncertainty.json").unlink()
    learn(config(start, run))
    for name in ("metrics.csv", "round-1.npz", "round-2/mace.safetensors"):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_learning_takes_data_without_a_reference_as_labelled_by_the_config_s(start, tmp_path):
    replace(Dataset.load(start / "data.npz"), reference=None).save(tmp_path / "data.npz")
    settings = config(start, tmp_path / "run", data=[str(tmp_path / "data.npz")], rounds=1)
    learn(settings)
    assert Dataset.load(tmp_path / "run" / "round-1.npz").reference == "gfn2"


def test_plot_rounds_writes_a_png(whole, tmp_path):
    plot_rounds(read_metrics(whole / "metrics.csv"), tmp_path / "rounds.png")
    with Image.open(tmp_path / "rounds.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    plot_rounds([], tmp_path / "empty.png")
    with Image.open(tmp_path / "empty.png") as image:
        empty = np.asarray(image.convert("RGB")).astype(int)
    vivid = [(np.ptp(picture, axis=-1) > 60).sum() for picture in (pixels, empty)]
    assert vivid[0] > vivid[1] + 100


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": "mace:absent.json"}, "^absent.json does not exist"),
        ({"start": "mace-omol"}, "'mace-omol' is none of mace, mace-small and .json files"),
        ({"data": ["absent.npz"]}, "absent.npz does not exist"),
        ({"bags": ["CH3F"]}, "CH3F has an element"),
        ({"data": ["mine.extxyz"]}, r"mine\.extxyz is not a dataset \(\.npz\)"),
        ({"reference": "spgfn2"}, "is labelled by gfn2, not by the reference spgfn2"),
    ],
)
def test_learning_refuses_missing_files_and_unknown_elements(start, tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        Learning(config(start, tmp_path / "run", **changes), [], lambda *_: None)
    assert not (tmp_path / "run").exists()


def test_learning_refuses_to_resume_with_other_data_or_another_start(start, tmp_path):
    files = {"start": str(tmp_path / "mace.json"), "data": [str(tmp_path / "data.npz")]}
    for name in ("data.npz", "mace.json", "mace.safetensors"):
        shutil.copy(start / name, tmp_path)
    checkpoint = Learning(config(start, tmp_path / "run", **files), [], lambda *_: None).snapshot()
    potential, _ = load_potential(start / "mace.json")
    with torch.no_grad():
        next(potential.network.parameters()).mul_(2)
    save_potential(tmp_path / "mace.json", potential)
    other = Learning(config(start, tmp_path / "run", **files), [], lambda *_: None)
    with pytest.raises(InputError, match=r"mace\.json has changed since the run began"):
        other.restore(checkpoint)
    Dataset.load(start / "data.npz")[1:].save(tmp_path / "data.npz")
    other = Learning(config(start, tmp_path / "run", **files), [], lambda *_: None)
    with pytest.raises(InputError, match=r"data\.npz has changed since the run began"):
        other.restore(checkpoint)


def test_learning_refuses_a_start_with_isolated_atoms_of_another_reference(start, tmp_path):
    potential, _ = load_potential(start / "mace.json")
    carbon, *rest = potential.atomic_energies[1:]
    shifted = (potential.atomic_energies[0], carbon - 0.5, *rest)
    save_potential(tmp_path / "mace.json", replace(potential, atomic_energies=shifted))
    settings = config(start, tmp_path / "run", start=str(tmp_path / "mace.json"))
    said = f"isolated C has {carbon - 0.5:.6g} eV in .*, and {carbon:.6g} eV by the reference gfn2"
    with pytest.raises(InputError, match=said):
        Learning(settings, [], lambda *_: None)
