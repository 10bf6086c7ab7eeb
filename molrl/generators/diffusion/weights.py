"""Files of denoisers: a header with all that sampling needs, and the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molrl.errors import InputError
from molrl.generation import check_owner
from molrl.generators.diffusion.config import SamplingConfig, TrunkConfig
from molrl.generators.diffusion.models import MODELS, DenoisingModel, Spread
from molrl.runs.config import Config, parse_config
from molrl.runs.weights import load_weights, save_weights


class DenoiserHeader(Config):
    """Header of a file of a denoiser.

    Attributes:
        network: its config.
        elements: atomic numbers, ascending.
        spread: root mean square of positions, Å, and features of the data.
        sampling: how it is sampled unless told otherwise.
        sizes: number of molecules of the data by their number of atoms, from 0.
        steps: number of steps of its training.
    """

    network: TrunkConfig
    elements: tuple[int, ...]
    spread: tuple[float, float]
    sampling: SamplingConfig
    sizes: tuple[int, ...]
    steps: int


def build_model(kind: str, header: DenoiserHeader, seed: int | None = None) -> DenoisingModel:
    """Build a model with random weights, without changing the global generator.

    Args:
        kind: a key of :data:`molrl.generators.diffusion.models.MODELS`.
        header: what it is.
        seed: of the weights; None where they will be replaced.
    """
    with torch.random.fork_rng(devices=[]):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs too
        return MODELS[kind](header.network, header.elements, Spread(*header.spread))


def save_denoiser(
    folder: Path, kind: str, header: DenoiserHeader, tensors: Mapping[str, Tensor]
) -> Path:
    """Write ``KIND.json`` and its tensors into a folder.

    Args:
        folder: of the run.
        kind: name of the model.
        header: of the file.
        tensors: weights by name.

    Returns:
        The path of the header.
    """
    path = folder / f"{kind}.json"
    save_weights(path, tensors, {"kind": kind, **header.model_dump(mode="json")})
    return path


def load_denoiser(kind: str, run: Path | str) -> tuple[DenoisingModel, DenoiserHeader]:
    """Load a model, frozen, on the CPU.

    Args:
        kind: name of the model.
        run: run folder of its training, or its ``.json`` file.

    Raises:
        InputError: if there is none, it is of another generator, or its file is corrupted.
    """
    check_owner(run, f"{kind}.json")
    path = Path(run)
    path = path if path.suffix == ".json" else path / f"{kind}.json"
    tensors, head = load_weights(path, kind)
    fields: dict[str, Any] = {key: head[key] for key in DenoiserHeader.model_fields if key in head}
    header = parse_config(fields, DenoiserHeader, where=str(path))
    model = build_model(kind, header)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit the network of its header: {error}") from None
    return model.requires_grad_(False).eval(), header
