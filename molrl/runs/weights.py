"""Tensors and JSON on disk: never pickled, and always checked against a SHA-256 sum."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors

from molrl.errors import InputError
from molrl.runs.atomic import sync, write_atomically

if TYPE_CHECKING:  # a run folder is checked without PyTorch
    from torch import Tensor

FORMAT = "molrl-weights-1"
MAX_JSON_BYTES = 50_000_000


def save_weights(
    path: Path | str, tensors: Mapping[str, "Tensor"], header: Mapping[str, Any]
) -> str:
    """Write a JSON header, which holds the sums of both files, and the tensors next to it.

    Args:
        path: the header, ``.json``; the tensors go to the same name with ``.safetensors``.
        tensors: tensors by name, on any device.
        header: plain data; at least ``kind``. ``format``, ``sha256`` (of the tensors' file) and
            ``header_sha256`` (of the rest of the header) are added.

    Returns:
        The SHA-256 sum of the tensors' file.

    Raises:
        InputError: if the name does not end in ``.json``.
    """
    path, tensor_path = _paths(path)
    content = _tensor_bytes(tensors)
    head = dict(header) | {"format": FORMAT, "sha256": sha256(content)}
    head["header_sha256"] = sha256(to_json(head))

    def write(temporary: Path) -> None:
        temporary.write_bytes(_written(head).encode())
        sync(temporary)
        # last, so that whoever reads meanwhile finds a header without its tensors for no longer
        # than the renaming of a file takes
        write_atomically(tensor_path, lambda tensor_file: tensor_file.write_bytes(content))

    write_atomically(path, write)
    return str(head["sha256"])


def load_weights(path: Path | str, kind: str) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read the tensors and the header that :func:`save_weights` wrote.

    Args:
        path: the header, ``.json``.
        kind: what the header's ``kind`` must be.

    Returns:
        The tensors by name, on the CPU, and the header.

    Raises:
        InputError: if a file is missing, foreign or corrupted, or the weights are of another kind.

    Example:
        >>> tensors, header = load_weights("runs/a/policy.json", "covariant")  # doctest: +SKIP
    """
    path, tensor_path = _paths(path)
    header = read_json(path)
    if header.get("format") != FORMAT:
        raise InputError(f"{path} is not a weights file of molrl ({FORMAT})")
    rest = {key: value for key, value in header.items() if key != "header_sha256"}
    intact = header.get("header_sha256") == sha256(to_json(rest))
    if not intact or path.read_bytes() != _written(header).encode():
        raise _corrupted(path)
    if header.get("kind") != kind:
        raise InputError(f"{path} holds weights of kind {header.get('kind')!r}, not {kind!r}")
    return read_tensors(tensor_path, header["sha256"]), header


def _corrupted(path: Path) -> InputError:
    return InputError(f"{path} is corrupted: its SHA-256 sum differs from the recorded one")


def _written(header: Mapping[str, Any]) -> str:
    return json.dumps(header, indent=1) + "\n"


def _paths(path: Path | str) -> tuple[Path, Path]:
    path = Path(path)
    if path.suffix != ".json":
        raise InputError(f"{path} is not a header of weights; give the .json file")
    return path, path.with_suffix(".safetensors")


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"]) -> None:
    """Write tensors in the safetensors format; shared memory is written once per tensor."""
    # save_file would make the file private to the user, whatever the umask.
    path.write_bytes(_tensor_bytes(tensors))


def _tensor_bytes(tensors: Mapping[str, "Tensor"]) -> bytes:
    from safetensors.torch import save

    return save({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})


def read_tensors(path: Path, expected: object) -> dict[str, "Tensor"]:
    """Read tensors onto the CPU.

    Args:
        path: a safetensors file.
        expected: its SHA-256 sum.

    Raises:
        InputError: if the file does not exist, has another sum, or holds no tensors.
    """
    from safetensors.torch import load

    content = read_checked(path, expected)
    try:
        return load(content)
    except (safetensors.SafetensorError, KeyError) as error:
        raise InputError(f"{path} is not a safetensors file: {error}") from None


def read_checked(path: Path, expected: object) -> bytes:
    """Read the bytes of a file.

    Args:
        path: the file.
        expected: its SHA-256 sum.

    Raises:
        InputError: if the file does not exist or has another sum.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist")
    content = path.read_bytes()
    if sha256(content) != expected:
        raise _corrupted(path)
    return content


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.

    Raises:
        InputError: if the file does not exist, is too large, or is not a JSON object.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path} is larger than {MAX_JSON_BYTES} bytes, the limit")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is corrupted or not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a JSON object")
    return data


def to_json(data: Mapping[str, Any]) -> bytes:
    """Return plain data as JSON, the same bytes before and after they were stored."""
    stored = json.loads(json.dumps(data))
    return json.dumps(stored, sort_keys=True, separators=(",", ":")).encode()


def sha256(content: bytes) -> str:
    """Return the SHA-256 sum of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
