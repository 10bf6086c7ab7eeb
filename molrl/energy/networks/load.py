"""Networks by the path of their files."""

import os
from pathlib import Path

from molrl.energy.networks.batched import BatchedEnergy
from molrl.energy.networks.energy import NetworkEnergy
from molrl.errors import InputError
from molrl.registry import accepting
from molrl.runs.weights import read_json

MODULE_WEIGHTS = "mace-module"  # of weights that are any network of mace-torch, converted


@accepting("argument", "device", "trust")
def load_mace(path: str = "", device: str = "cpu", trust: bool = False) -> BatchedEnergy:
    """Load the shipped MACE, or one from a file.

    Args:
        path: nothing for the shipped one; else what ``molrl energy fit`` or ``molrl energy
            convert`` wrote (``.json``), or a network that was pickled by mace-torch; ``PATH@HEAD``
            for one of several heads.
        device: where to compute.
        trust: whether a pickle may be loaded. It can run any code.

    Raises:
        InputError: if there is no such file, it is damaged or of another kind, or it is a pickle
            that is not trusted.
    """
    file, head = split_head(path)
    converted = file.endswith(".json") and read_json(Path(file)).get("kind") == MODULE_WEIGHTS
    if not path:
        return NetworkEnergy("mace", device)
    if file.endswith(".json") and not head and not converted:
        return load_network("mace", file, device)
    from molrl.energy.mace_torch.files import load_module  # imports all of mace-torch

    return load_module(file, head, device, trust)


@accepting("device")
def load_small(device: str = "cpu") -> NetworkEnergy:
    """Load the smaller of the two MACEs that ship: less accurate, and faster.

    Args:
        device: where to compute.
    """
    return NetworkEnergy("mace-small", device)


def load_network(architecture: str, path: str, device: str = "cpu") -> NetworkEnergy:
    """Load a network that ``molrl energy fit`` wrote.

    Args:
        architecture: that it must be of.
        path: of the JSON file.
        device: where to compute.

    Raises:
        InputError: if there is no such file, it is damaged, or of another architecture.
    """
    model = NetworkEnergy(path, device)
    found = model.potential.config.architecture
    if found != architecture:
        raise InputError(f"{path} is a network of kind {found}; load it as {found}:{path}")
    return model


def split_head(path: str) -> tuple[str, str | None]:
    """Split a path from what stands behind its last @, unless there is such a file."""
    file, at, head = path.rpartition("@")
    return (file, head) if at and not os.path.exists(path) else (path, None)
