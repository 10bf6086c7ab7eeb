"""Weights in two files: a JSON header that names and checks the safetensors beside it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from molrl.errors import InputError
from molrl.files import write_atomically, write_text


def write_weights(path: Path | str, tensors: dict[str, Tensor], header: dict[str, Any]) -> str:
    """Write ``path`` (JSON) and the safetensors file beside it.

    Args:
        path: ends in ``.json``.
        tensors: what is stored.
        header: at least ``kind``; ``sha256`` is added.

    Returns:
        The SHA-256 of the tensors' file.
    """
    path = Path(path)
    payload = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(payload).hexdigest()
    write_atomically(path.with_suffix(".safetensors"), lambda file: file.write_bytes(payload))
    write_text(path, json.dumps(header | {"sha256": digest}, indent=1) + "\n")
    return digest


def read_weights(path: Path | str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of weights of the given kind.

    Raises:
        InputError: if a file is missing or damaged, or the weights are of another kind.
    """
    path = Path(path)
    if path.suffix != ".json":
        raise InputError(f"{path} is no weights header; give the .json beside the .safetensors")
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
        payload = path.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"weights {path} cannot be read: {error}") from None
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = header.get("kind") if isinstance(header, dict) else None
        raise InputError(f"weights {path} are of kind {found!r}, not {kind!r}")
    if hashlib.sha256(payload).hexdigest() != header.get("sha256"):
        raise InputError(f"weights {path.with_suffix('.safetensors')} are damaged or not {path}'s")
    try:
        return load(payload), header
    except SafetensorError as error:
        raise InputError(
            f"weights {path.with_suffix('.safetensors')} are broken: {error}"
        ) from None
