import pytest

from molrl.energy import load_energy
from molrl.energy.networks.mace.network import MaceConfig
from molrl.fitting.config import FitConfig
from molrl.fitting.data.config import DataConfig, KindCounts
from molrl.fitting.data.make import make_dataset
from molrl.fitting.fit import Fit
from molrl.fitting.mixture_fit import with_uncertainty
from molrl.runs.trainer import train_saving

COUNTS = KindCounts(
    relaxed=60, distorted=60, twisted=0, half_built=80, placed=60, clash=20, fragments=0,
    pair=20, random_walks=20, partially_relaxed=0,
)  # fmt: skip


def silent(*_):
    pass


@pytest.fixture(scope="package")
def start(tmp_path_factory):
    """A folder with ``data.npz`` and ``mace.json``, a small model fitted to it for a moment."""
    folder = tmp_path_factory.mktemp("start")
    config = DataConfig(
        output="", elements=("C", "N", "O"), max_heavy=3, bags=("H2O",), counts=COUNTS
    )
    data, _ = make_dataset(config, silent)
    data.save(folder / "data.npz")
    settings = FitConfig(
        data=(), run_dir=str(folder), steps=150, warmup=10, batch_size=8, learning_rate=0.02,
        ema=0.9, network=MaceConfig(elements=(1, 6, 7, 8), channels=8),
    )  # fmt: skip
    train_saving(Fit(settings, data, load_energy("gfn2").atom_energies(), "cpu"), folder)
    return folder


@pytest.fixture(scope="package")
def data(start):
    from molrl.fitting.data.dataset import Dataset

    return Dataset.load(start / "data.npz")


@pytest.fixture(scope="package")
def certain(start, data):
    """The small model with its uncertainty."""
    return with_uncertainty(start / "mace.json", data, 0, "cpu")
