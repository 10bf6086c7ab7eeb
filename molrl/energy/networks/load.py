"""Functions that load networks as energy models, by the path of their files."""

import os
from pathlib import Path

from molrl.energy.mace_torch import MODULE_WEIGHTS
from molrl.energy.networks.batched import BatchedEnergy
from molrl.energy.networks.energy import NetworkEnergy
from molrl.errors import InputError
from molrl.registry import accepting
from molrl.runs.weights import read_json


@accepting("argument", "device", "trust")
def load_mace(path: str = "", device: str = "cpu", trust: bool = False) -> BatchedEnergy:
    """Load the shipped MACE, or one from a file.

    Args:
        path: empty for the shipped one; otherwise a ``.json`` file from ``molrl energy fit`` or
            ``molrl energy convert``, or a network pickled by mace-torch. ``PATH@HEAD`` selects one
            of several heads.
        device: the device to compute on.
        trust: whether a pickle may be loaded, which can run any code.

    Raises:
        InputError: if the file is missing, corrupted or of another kind, or it is a pickle that is
            not trusted.
    """
    file, head = split_head(path)
    converted = file.endswith(".json") and read_json(Path(file)).get("kind") == MODULE_WEIGHTS
    if not path:
        return NetworkEnergy("mace", device)
    if file.endswith(".json") and not head and not converted:
        return load_network("mace", file, device)
    from molrl.energy.mace_torch.files import load_module  # imports mace-torch, which is slow

    return load_module(file, head, device, trust)


@accepting("device")
def load_small(device: str = "cpu") -> NetworkEnergy:
    """Load the smaller of the two shipped MACEs, which is faster and less accurate.

    Args:
        device: the device to compute on.
    """
    return NetworkEnergy("mace-small", device)


def load_network(architecture: str, path: str = "", device: str = "cpu") -> NetworkEnergy:
    """Load a network that ``molrl energy fit`` wrote.

    Args:
        architecture: the architecture that it must have.
        path: the JSON file; the name of a shipped model is no path.
        device: the device to compute on.

    Raises:
        InputError: if there is no path, or the file is missing, corrupted, or of another
            architecture.
    """
    if Path(path).suffix != ".json":
        given = f"{path} is not the .json file of a network" if path else "it is not shipped"
        raise InputError(f"{architecture}: {given}; name its file: {architecture}:FILE.json")
    model = NetworkEnergy(path, device)
    found = model.potential.config.architecture
    if found != architecture:
        raise InputError(f"{path} has the architecture {found}; load it as {found}:{path}")
    return model


def split_head(path: str) -> tuple[str, str | None]:
    """Split ``PATH@HEAD`` at its last ``@``; the head is None without one.

    The path of an existing file is not split, as it may contain an ``@``.
    """
    file, at, head = path.rpartition("@")
    return (file, head) if at and not os.path.exists(path) else (path, None)
