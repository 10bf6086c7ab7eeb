"""A MACE by the path of its file."""

import os
from pathlib import Path

from molrl.energy.networks import MODULE_WEIGHTS
from molrl.energy.networks.batched import NetworkEnergy
from molrl.energy.networks.energy import MaceEnergy
from molrl.runs.weights import read_json


def load_mace(path: str = "", device: str = "cpu", trust: bool = False) -> NetworkEnergy:
    """The shipped MACE, or one from a file.

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
    if not path or (file.endswith(".json") and not head and not converted):
        return MaceEnergy(file or "mace", device)
    from molrl.energy.mace_torch.files import (
        load_module,  # much to import, for others' networks only
    )

    return load_module(file, head, device, trust)


def load_small(device: str = "cpu") -> MaceEnergy:
    """The smaller of the two MACEs that ship: less accurate, and faster.

    Args:
        device: where to compute.
    """
    return MaceEnergy("mace-small", device)


def split_head(path: str) -> tuple[str, str | None]:
    """A path, and what stands behind its last @ unless there is such a file."""
    file, at, head = path.rpartition("@")
    return (file, head) if at and not os.path.exists(path) else (path, None)
