"""The configs that ship are configs."""

from pathlib import Path

import pytest

from molrl.cli.experiment import ExperimentConfig
from molrl.energy.data.config import DataConfig
from molrl.energy.data.molecule_set import MoleculeSetConfig
from molrl.energy.fit import FitConfig
from molrl.energy.learning.config import LearnConfig
from molrl.runs.config import load_config

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
SCHEMAS = {
    "quickstart.yaml": ExperimentConfig,
    "energy/data.yaml": DataConfig,
    "energy/small.yaml": DataConfig,
    "energy/soft.yaml": DataConfig,
    "energy/sulfur.yaml": DataConfig,
    "energy/molecules.yaml": MoleculeSetConfig,
    "energy/built.yaml": DataConfig,
    "energy/fit.yaml": FitConfig,
    "energy/wide.yaml": FitConfig,
    "energy/learn.yaml": LearnConfig,
    "energy/reference-data.yaml": DataConfig,
    "energy/reference-fit.yaml": FitConfig,
}


def test_every_config_is_tested():
    found = {str(path.relative_to(EXPERIMENTS)) for path in EXPERIMENTS.rglob("*.yaml")}
    assert found == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_config_is_read_and_says_its_command(name):
    path = EXPERIMENTS / name
    assert load_config(path, [], SCHEMAS[name])
    assert f"experiments/{name}" in path.read_text(encoding="utf-8").split("\n\n")[0]
