"""Training of denoisers: it learns, and is resumed bit for bit."""

import pytest
import torch

from molrl.chemistry.training_set import load_training_set
from molrl.cli.main import main
from molrl.errors import InputError
from molrl.generators.diffusion.config import DenoiserConfig, NoiseConfig, TrunkConfig
from molrl.generators.diffusion.training import DenoiserTraining
from molrl.generators.diffusion.weights import load_denoiser
from molrl.runs.checkpoints import Checkpoints
from molrl.runs.folder import RunFolder
from molrl.runs.metrics import read_metrics

SMALL = {"channels": 8, "hidden": 8, "vectors": 4, "layers": 2}
KINDS = [("diffusion", "energy"), ("pseudo-force", "direct")]


@pytest.fixture(scope="module")
def data():
    """Small molecules, so that steps are fast."""
    every = load_training_set()
    return every[every.molecules.n_atoms <= 10]


def make_training(data, folder, kind=("diffusion", "energy"), **options):
    name, head = kind
    defaults = {"total_steps": 6, "batch_size": 8, "warmup": 2, "checkpoint_every": 3}
    config = DenoiserConfig(
        generator=name,
        run_dir=folder,
        network=TrunkConfig(head=head, **SMALL),
        **{**defaults, **options},
    )
    return DenoiserTraining(config, data, "cpu")


def tensors_of(training):
    return training.snapshot().tensors


@pytest.mark.bitwise
@pytest.mark.parametrize("kind", KINDS)
def test_resumed_training_goes_on_bit_for_bit(data, tmp_path, kind):
    whole, first, second = (make_training(data, tmp_path, kind) for _ in range(3))
    losses = []
    whole.run(lambda step, figures: losses.append(figures["loss"]))

    def save(step, figures):
        if step == 3:
            Checkpoints(tmp_path).save(first.snapshot())

    first.run(save)
    second.restore(Checkpoints(tmp_path).load(3))
    again = []
    second.run(lambda step, figures: again.append(figures["loss"]))
    assert again == losses[3:]
    expected, found = tensors_of(whole), tensors_of(second)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_training_depends_on_its_seed(data, tmp_path):
    trainings = [make_training(data, tmp_path, total_steps=1, seed=seed) for seed in (0, 0, 1)]
    for training in trainings:
        training.run(lambda step, figures: None)
    one, same, other = (tensors_of(training) for training in trainings)
    name = next(name for name in one if name.endswith("radial"))
    assert torch.equal(one[name], same[name])
    assert not torch.equal(one[name], other[name])


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss_on_molecules_it_has_not_seen(data, tmp_path, kind):
    training = make_training(
        data,
        tmp_path,
        kind,
        total_steps=60,
        batch_size=32,
        ema=0.9,
        checkpoint_every=1000,
        noise=NoiseConfig(named=1.0, placed=0.0),
    )
    before = training.valid_losses()
    training.run(lambda step, figures: None)
    after = training.valid_losses()
    assert after["valid_loss"] < 0.98 * before["valid_loss"]


def test_losses_on_the_valid_split_draw_nothing_from_the_training(data, tmp_path):
    training = make_training(data, tmp_path)
    before = {name: tensor.clone() for name, tensor in tensors_of(training).items()}
    state = torch.get_rng_state()
    assert training.valid_losses() == training.valid_losses()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in tensors_of(training).items())


def test_weights_are_the_average_and_load_frozen(data, tmp_path):
    training = make_training(data, tmp_path)
    training.run(lambda step, figures: None)
    training.write_weights(tmp_path)
    model, header = load_denoiser("diffusion", tmp_path)
    assert header.steps == 6
    assert header.sizes[:2] == (0, 0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, training.average[name])
        assert not parameter.requires_grad
    with pytest.raises(InputError, match="is a run of diffusion: write diffusion:"):
        load_denoiser("pseudo-force", tmp_path)


def test_command_trains_and_resumes_a_denoiser(tmp_path):
    run = tmp_path / "run"
    small = [f"network.{key}={value}" for key, value in SMALL.items()]
    keys = ["generator=pseudo-force", "total_steps=4", "checkpoint_every=2", "evaluate_every=4"]
    keys += ["batch_size=4", "evaluation.n_molecules=2", "evaluation.n_samples=2", f"run_dir={run}"]
    assert main(["train", *keys, *small, "sampling.evaluations=3", "network.head=direct"]) == 0
    folder = RunFolder(run)
    assert [row["steps"] for row in read_metrics(folder.metrics_file)] == [2, 4]
    assert folder.command == "train generator"
    assert folder.read_summary()["valid_fraction_any"] is not None
    card = (run / "card.md").read_text()
    assert "Held out: C" in card
    assert str(tmp_path) not in card  # it is read on other machines
    assert main(["resume", str(run), "total_steps=5"]) == 0
    assert [row["steps"] for row in read_metrics(folder.metrics_file)] == [2, 4, 5]


def test_command_refuses_keys_of_an_agent(tmp_path, capsys):
    words = [
        "train",
        "generator=diffusion",
        "total_steps=4",
        f"run_dir={tmp_path}/run",
        "task=CH4O",
    ]
    assert main(words) == 2
    assert "task" in capsys.readouterr().err
