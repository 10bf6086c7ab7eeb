"""A part in one file outside of the package: an energy model, a reward term, a generator."""

import sys

import numpy as np
import pytest
import yaml

import molrl
from molrl.cli.main import main
from molrl.errors import InputError
from molrl.runs.config import load_config

ENERGY = """
import torch
import molrl
from molrl.energy import EnergyModel, EnergyOutput


class Springs(EnergyModel):
    name = hash = "outside-springs"
    elements = (1, 6, 7, 8)
    implemented_properties = ("energy", "forces", "dipole")

    def _evaluate(self, molecules, wanted):
        first, second = molecules.neighbors(3.0).pairs
        heavy = molecules.numbers[first] * molecules.numbers[second] > 1
        x = molecules.positions.double().clone().requires_grad_()
        with torch.enable_grad():
            springs = 2 * heavy * (((x[first] - x[second]).norm(dim=-1) - 1.0) ** 2 - 4.0)
            of_atoms = torch.zeros(len(x), dtype=torch.float64).index_add(0, first, springs)
            energy = molecules.sum_atoms(of_atoms)
            (gradient,) = torch.autograd.grad(energy.sum(), x)
        dipole = molecules.sum_atoms(x.detach())
        return EnergyOutput(energy.detach(), -gradient, properties={"dipole": dipole})


molrl.register("energy", "outside-springs", Springs)
"""

REWARD = """
import numpy as np
import molrl


class Polarity:
    at_end = True
    wants = ("dipole",)

    def __init__(self, model, power=1.0):
        self.power = power

    def __call__(self, placed):
        return np.array([np.linalg.norm(d) ** self.power for d in placed.properties["dipole"]])


molrl.register("reward", "outside_polarity", Polarity)
"""

GENERATOR = """
import numpy as np
import molrl
from molrl import Generated, MoleculeBatch
from molrl.errors import InputError
from molrl.tasks import parse_task


class Line:
    name = "outside-line"

    def __init__(self, spacing=1.0):
        self.spacing = spacing

    def generate(self, task, n, seed):
        if n < 1:
            raise InputError("n must be at least 1")
        numbers = np.repeat(*zip(*parse_task(task).single_bag.items()))
        streams = [np.random.default_rng([seed, i]) for i in range(n)]
        x = [self.spacing * (np.arange(len(numbers)) + 0.1 * s.random()) for s in streams]
        made = [(numbers, np.stack([row, 0 * row, 0 * row], -1)) for row in x]
        return Generated(MoleculeBatch.from_arrays(made), n, 0, 0, 0.0)


molrl.register("generator", "outside-line", Line)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the user's files, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name, text in (("energy", ENERGY), ("reward", REWARD), ("generator", GENERATOR)):
        (tmp_path / f"outside_{name}.py").write_text(text)
    return tmp_path


def test_energy_and_reward_of_plugins_train_an_agent(folder, capsys):
    config = {
        "plugins": ["outside_energy", "outside_reward"],
        "run_dir": "run",
        "total_steps": 64,
        "task": {"bag": "H2O"},
        "energy": "outside-springs",
        "env": {"reward": {"energy": 1.0, "outside_polarity": {"weight": 0.1, "power": 2.0}}},
        "policy": {"width": 16, "channels": 4, "degree": 2, "layers": 1},
        "algorithm": {"name": "ppo", "num_envs": 4, "n_steps": 8, "batch_size": 16},
        "evaluation": {"n_molecules": 2},
    }
    (folder / "train.yaml").write_text(yaml.safe_dump(config))
    code = main(["train", "train.yaml"])
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "outside_energy" in (folder / "run" / "config.yaml").read_text()
    molrl.testing.check_energy_model("outside-springs")
    molrl.testing.check_reward_term("outside_polarity", energy="outside-springs")


def test_generator_of_a_plugin_takes_an_option_on_the_command_line(folder, monkeypatch, capsys):
    monkeypatch.setenv("MOLRL_PLUGINS", "outside_generator")
    command = ["generate", "--method", "outside-line", "--bag", "CO", "-n", "2", "-o", "out.extxyz"]
    assert main([*command, "spacing=1.5"]) == 0
    x = molrl.read("out.extxyz")[0].positions.numpy()
    assert np.diff(x[:, 0]) == pytest.approx([1.5])
    molrl.testing.check_generator("outside-line")
    capsys.readouterr()
    assert main([*command, "spacin=1.5", "--force"]) == 2
    wanted = "molrl: error: 'outside-line' has no option 'spacin'; did you mean 'spacing'?\n"
    assert capsys.readouterr().err == wanted


def test_load_config_takes_weights_of_a_network_of_a_plugin(folder):
    from molrl.cli.experiment import ExperimentConfig

    (folder / "outside_network.py").write_text(
        "import molrl\nmolrl.register('network', 'outside-net', 'outside_network:Net')\n"
    )
    lines = "plugins: [outside_network]\nrun_dir: run\ntotal_steps: 1\ntask: {bag: CH4}\n"
    (folder / "train.yaml").write_text(f"{lines}energy: outside-net:made.json\n")
    assert load_config("train.yaml", [], ExperimentConfig).energy == "outside-net:made.json"


def test_load_config_refuses_a_plugin_that_cannot_be_imported(folder):
    from molrl.cli.experiment import ExperimentConfig

    (folder / "train.yaml").write_text("plugins: [no_such_parts]\n")
    with pytest.raises(InputError, match=r"train.yaml: plugins: no_such_parts cannot be imported"):
        load_config("train.yaml", [], ExperimentConfig)
    (folder / "train.yaml").write_text("plugins: 3\n")
    with pytest.raises(InputError, match=r"train.yaml: plugins"):
        load_config("train.yaml", [], ExperimentConfig)
