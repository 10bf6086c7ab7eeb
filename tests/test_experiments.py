"""Shipped configs are valid, and each names its command."""

import re
from pathlib import Path

import pytest
import yaml

from molrl.cli.experiment import ExperimentConfig
from molrl.cli.parser import build_parser
from molrl.comparison.config import CompareConfig
from molrl.fitting.active.config import LearnConfig
from molrl.fitting.config import FitConfig
from molrl.fitting.data.config import DataConfig, MoleculeSetConfig
from molrl.generators.diffusion.config import DenoiserConfig
from molrl.runs.config import load_config

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
SCHEMAS = {
    "covariant.yaml": ExperimentConfig,
    "covariant_reinforced.yaml": ExperimentConfig,
    "from_shipped.yaml": ExperimentConfig,
    "isomers.yaml": ExperimentConfig,
    "isomers_large.yaml": ExperimentConfig,
    "quickstart.yaml": ExperimentConfig,
    "tasks/cluster.yaml": ExperimentConfig,
    "tasks/linker.yaml": ExperimentConfig,
    "tasks/scaffold.yaml": ExperimentConfig,
    "tasks/shape.yaml": ExperimentConfig,
    "diffusion.yaml": DenoiserConfig,
    "pseudo_force.yaml": DenoiserConfig,
    "compare.yaml": CompareConfig,
    "compare_quick.yaml": CompareConfig,
    "qm7_20.yaml": CompareConfig,
    "energy/data.yaml": DataConfig,
    "energy/small.yaml": DataConfig,
    "energy/soft.yaml": DataConfig,
    "energy/sulfur.yaml": DataConfig,
    "energy/molecules.yaml": MoleculeSetConfig,
    "energy/molecules-50k.yaml": MoleculeSetConfig,
    "energy/built.yaml": DataConfig,
    "energy/complexes.yaml": DataConfig,
    "energy/contacts.yaml": DataConfig,
    "energy/crowds.yaml": DataConfig,
    "energy/large.yaml": DataConfig,
    "energy/torsions.yaml": DataConfig,
    "energy/fit.yaml": FitConfig,
    "energy/finetune.yaml": FitConfig,
    "energy/gpu.yaml": FitConfig,
    "energy/mace.yaml": FitConfig,
    "energy/mace-small.yaml": FitConfig,
    "energy/clusters.yaml": DataConfig,
    "energy/learn.yaml": LearnConfig,
    "energy/reference-data.yaml": DataConfig,
    "energy/reference-fit.yaml": FitConfig,
}


COMMANDS = {
    ExperimentConfig: "train",
    DenoiserConfig: "train",
    DataConfig: "energy data",
    MoleculeSetConfig: "energy molecules",
    FitConfig: "energy fit",
    LearnConfig: "energy learn",
    CompareConfig: "compare",
}


def test_shipped_configs_are_all_tested():
    found = {path.relative_to(EXPERIMENTS) for path in EXPERIMENTS.rglob("*.yaml")}
    # Files of a benchmark are tested with it.
    assert {str(path) for path in found if path.parts[0] != "benchmarks"} == set(SCHEMAS)


def leaves(mapping, prefix=()):
    """Yield the path and value of everything in a mapping that is not a mapping itself."""
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


@pytest.mark.parametrize("name", SCHEMAS)
def test_shipped_config_is_read_as_written(name):
    path = EXPERIMENTS / name
    read = dict(leaves(load_config(path, [], SCHEMAS[name]).model_dump(mode="json")))
    written = dict(leaves(yaml.safe_load(path.read_text(encoding="utf-8"))))
    if ("tasks",) in written:  # formulas stand for tasks
        written["tasks",] = [{"kind": "bag", "bag": formula} for formula in written["tasks",]]
    assert {key: read.get(key) for key in written} == written


@pytest.mark.parametrize("name", SCHEMAS)
def test_shipped_config_names_its_command(name):
    text = (EXPERIMENTS / name).read_text(encoding="utf-8")
    comments = re.sub(r"\n# *", " ", re.match(r"(#.*\n)+", text)[0])
    said = re.findall(rf"molrl ([a-z ]+ experiments/{name})\b", comments)
    assert {command.rpartition(" ")[0] for command in said} == {COMMANDS[SCHEMAS[name]]}
    for command in said:
        assert build_parser().parse_args(command.split()).config == f"experiments/{name}"
