"""molrl energy learn: a round on real energies, resumed; invalid input is refused at once."""

import json
from typing import Literal

import pytest
import torch
from PIL import Image

from molrl.cli.main import main
from molrl.energy import load_energy
from molrl.energy.networks import NETWORKS, Network, NetworkConfig, Prediction
from molrl.energy.networks.potential import Potential, save_potential
from molrl.fitting.data.config import DataConfig, KindCounts
from molrl.fitting.data.make import make_dataset
from molrl.runs.metrics import read_metrics

LEARN = """
run_dir: run
data: [data.npz]
rounds: 1
labels: 10
shares: {hyperactive: 1, placements: 1, gradient: 0, episodes: 0, generated: 1}
bags: [CH2O]
generators: [random]
generator_bags: [CH2O]
guards: [0.65]
placements: 4
dynamics: {steps: 2}
fit: {steps: 2, batch_size: 4, checkpoint_every: 1}
attacks: {molecules: 2, placements: 4}
"""
SIMPLEST = ["shares.hyperactive=0", "shares.generated=0", "generators=[]", "guards=[0.99]"]


@pytest.fixture
def config(here):
    (here / "learn.yaml").write_text(LEARN)
    return here / "learn.yaml"


@pytest.fixture
def data(here):
    counts = KindCounts(
        relaxed=60, distorted=0, twisted=0, half_built=60, placed=0, clash=0, fragments=0,
        pair=0, random_walks=60, partially_relaxed=0,
    )  # fmt: skip
    settings = DataConfig(
        output="", elements=("C", "N", "O"), max_heavy=3, bags=("CH2O",), counts=counts
    )
    make_dataset(settings, lambda *_: None)[0].save(here / "data.npz")


def test_learn_runs_draws_and_resumes(config, data, here, capsys):
    assert main(["energy", "learn", "learn.yaml"]) == 0
    rows = read_metrics(here / "run" / "metrics.csv")
    assert [row["round"] for row in rows] == [0, 1]
    weights = here / "run" / "round-1" / "mace.json"
    assert f"mace:{weights.relative_to(here)}" in capsys.readouterr().out
    assert load_energy(f"mace:{weights}").offers_uncertainty
    made = ["round-1/mace.safetensors", "metrics.csv"]
    before = [(here / "run" / name).read_bytes() for name in made]
    summary = json.loads((here / "run" / "summary.json").read_text())
    (here / "run" / "summary.json").unlink()
    (here / "run" / "rounds.png").unlink()
    assert main(["resume", "run"]) == 0
    assert [(here / "run" / name).read_bytes() for name in made] == before  # not made again
    assert json.loads((here / "run" / "summary.json").read_text()) == pytest.approx(summary)
    with Image.open(here / "run" / "rounds.png") as image:
        assert len(image.convert("L").getcolors()) > 10
    assert main(["resume", "run", "rounds=2"]) == 0
    assert [row["round"] for row in read_metrics(here / "run" / "metrics.csv")] == [0, 1, 2]
    summary = json.loads((here / "run" / "summary.json").read_text())
    assert summary["weights"] == "run/round-2/mace.json"
    for name in ("summary.json", "metrics.csv"):
        (here / "run" / name).unlink()
    capsys.readouterr()
    assert main(["resume", "run"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("molrl: error: run/metrics.csv lacks the row of step 4, of which")


class PairsConfig(NetworkConfig):
    """The settings of a network that is no MACE."""

    architecture: Literal["few-pairs"] = "few-pairs"


class Pairs(Network):
    """A network of wells between all atoms, with the lengths as features."""

    Config = PairsConfig

    def __init__(self, config):
        super().__init__(config)
        self.depth = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, graph):
        lengths = graph.vectors().norm(dim=-1)
        wells = -self.depth * (1 - lengths / self.config.cutoff) ** 2
        energy = lengths.new_zeros(graph.n_molecules)
        energy = energy.index_add(0, graph.molecule[graph.pairs[0]], wells)
        features = lengths.new_zeros(len(graph.positions), 2)
        for side in graph.pairs:
            near = torch.stack([wells, wells**2], dim=-1)
            features = features.index_add(0, side, near)
        return Prediction(energy, features)


def test_learn_names_the_energy_model_by_its_architecture(config, data, here, capsys):
    NETWORKS.register("few-pairs", Pairs)
    elements, atoms = (1, 6, 7, 8), load_energy("gfn2").atom_energies()
    potential = Potential(Pairs(PairsConfig(elements=elements)), tuple(atoms[z] for z in elements))
    save_potential("start.json", potential)
    assert main(["energy", "learn", "learn.yaml", "start=start.json", *SIMPLEST]) == 0
    weights = "run/round-1/few-pairs.json"
    assert f"use them as energy few-pairs:{weights}" in capsys.readouterr().out
    assert load_energy(f"few-pairs:{weights}").offers_uncertainty


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["rounds=0"], "rounds must be greater than or equal to 1"),
        (["lables=5"], "unknown key 'lables'; did you mean 'labels'?"),
        (["shares.generated=0"], "shares.generated must be above 0 if and only if generators"),
        (["bags=[methane]"], "invalid formula 'methane'"),
        (["generators=[randm]"], "unknown generator 'randm'; did you mean 'random'?"),
        (["generator_bags=[H2]"], "no heavy atom besides F, Cl and Br"),
        (["start=absent.json"], "absent.json"),
        ([], "dataset data.npz does not exist"),
    ],
)
def test_learn_refuses_invalid_input_before_writing(config, here, capsys, overrides, said):
    assert main(["energy", "learn", "learn.yaml", *overrides]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert [path.name for path in here.iterdir()] == ["learn.yaml"]
