"""Tensors and JSON on disk: never a pickle, and nothing is believed without its SHA-256 sum."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from molrl.errors import InputError
from molrl.runs.atomic import write_atomically, write_text

FORMAT = "molrl-weights-1"
MAX_JSON_BYTES = 50_000_000


def save_weights(path: Path | str, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> str:
    """Write ``path`` (JSON), which carries the sums of both files, and the safetensors beside it.

    Args:
        path: ends in ``.json``; the tensors go to the same name with ``.safetensors``.
        tensors: name to tensor, on any device.
        header: plain data; at least ``kind``. ``format``, ``sha256`` (of the tensors' file) and
            ``header_sha256`` (of the rest of the header) are added.

    Returns:
        The SHA-256 of the tensors' file.
    """
    path, tensor_path = _paths(path)
    write_atomically(tensor_path, lambda temporary: write_tensors(temporary, tensors))
    digest = sha256(tensor_path.read_bytes())
    head = dict(header) | {"format": FORMAT, "sha256": digest}
    head["header_sha256"] = sha256(to_json(head))
    write_text(path, _written(head))
    return digest


def load_weights(path: Path | str, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors, onto the CPU, and the header that :func:`save_weights` wrote.

    Args:
        path: of the JSON file.
        kind: what the header's ``kind`` must be.

    Raises:
        InputError: if a file is missing, foreign or damaged, or the weights are of another kind.
    """
    path, tensor_path = _paths(path)
    header = read_json(path)
    if header.get("format") != FORMAT:
        raise InputError(f"{path} is no weights file of molrl ({FORMAT})")
    rest = {key: value for key, value in header.items() if key != "header_sha256"}
    intact = header.get("header_sha256") == sha256(to_json(rest))
    if not intact or path.read_bytes() != _written(header).encode():
        raise InputError(f"{path} is damaged: it is not what was written (SHA-256 differs)")
    if header.get("kind") != kind:
        raise InputError(f"{path} holds weights of kind {header.get('kind')!r}, not {kind!r}")
    return read_tensors(tensor_path, header["sha256"]), header


def _written(header: Mapping[str, Any]) -> str:
    return json.dumps(header, indent=1) + "\n"


def _paths(path: Path | str) -> tuple[Path, Path]:
    path = Path(path)
    if path.suffix != ".json":
        raise InputError(f"{path} is no weights header; give the .json beside the .safetensors")
    return path, path.with_suffix(".safetensors")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors in safetensors; tensors that share memory are written out each."""
    plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    # Not with save_file, which makes a file that is nobody else's to read, whatever the umask.
    path.write_bytes(safetensors.torch.save(plain))


def read_tensors(path: Path, expected: object) -> dict[str, Tensor]:
    """Read tensors, onto the CPU, if their file has the expected SHA-256.

    Raises:
        InputError: if it has not, there is no such file, or it holds no tensors.
    """
    content = read_checked(path, expected)
    try:
        return safetensors.torch.load(content)
    except (safetensors.SafetensorError, KeyError) as error:
        raise InputError(f"{path} is no safetensors file: {error}") from None


def read_checked(path: Path, expected: object) -> bytes:
    """The bytes of a file, if they have the expected SHA-256.

    Raises:
        InputError: if they have not, or there is no such file.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist")
    content = path.read_bytes()
    if sha256(content) != expected:
        raise InputError(f"{path} is damaged: it is not what was written (SHA-256 differs)")
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: if there is no such file, it is too large, or it is no JSON object.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is larger than the {MAX_JSON_BYTES} bytes that are read")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged or no JSON: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} is no JSON object")
    return data


def to_json(data: Mapping[str, Any]) -> bytes:
    """Plain data as JSON: the same bytes for the same data, before and after it was stored."""
    stored = json.loads(json.dumps(data))
    return json.dumps(stored, sort_keys=True, separators=(",", ":")).encode()


def sha256(content: bytes) -> str:
    """The SHA-256 of some bytes, hexadecimal."""
    return hashlib.sha256(content).hexdigest()
