"""Files of mace-torch networks: trusted pickles, and their conversion to JSON and safetensors."""

import os
import shlex
from pathlib import Path
from typing import Any

import torch

from molrl.energy.mace_torch import MODULE_WEIGHTS
from molrl.energy.mace_torch.config import MaceModuleConfig, build, check_same, describe
from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.errors import InputError
from molrl.runs.config import parse_config
from molrl.runs.weights import load_weights, save_weights, sha256
from molrl.safe_e3nn import contained


def load_module(file: str, head: str | None, device: str, trust: bool) -> MaceModuleEnergy:
    """Load a network of mace-torch from a file.

    Args:
        file: a ``.json`` file from ``molrl energy convert``, or a network pickled by mace-torch.
        head: the head to use; may be None where there is only one, or one is called "default".
        device: the device to compute on.
        trust: whether a pickle may be loaded, which can run any code.

    Raises:
        InputError: if the file is missing, corrupted or of another kind, or it is a pickle that is
            not trusted.
    """
    if file.endswith(".json"):
        tensors, header = load_weights(file, MODULE_WEIGHTS)
        config = parse_config(header.get("config", {}), MaceModuleConfig, where=file)
        network, digest = build(config, tensors, file), header["header_sha256"]
    else:
        network, digest = read_pickle(file, trust), sha256(Path(file).read_bytes())
    name = f"mace:{file}@{head}" if head else f"mace:{file}"
    return MaceModuleEnergy(network, name, digest, head, device)


def convert(source: str, output: str, trust: bool = False) -> None:
    """Convert a network that was pickled by mace-torch to JSON and safetensors.

    Args:
        source: the pickle.
        output: the JSON file to write; the tensors get the same name with ``.safetensors``.
        trust: whether the pickle may be loaded, which can run any code.

    Raises:
        InputError: if the pickle is not trusted or cannot be loaded, the output exists, or the
            network rebuilt from what would be written has other energies; nothing is then written.
    """
    target = Path(output)
    if target.suffix != ".json":
        raise InputError(f"output {output} must end in .json")
    for path in (target, target.with_suffix(".safetensors")):
        if os.path.exists(path):
            raise InputError(f"output {path} already exists; name another")
    network = read_pickle(source, trust)
    config, tensors = describe(network, source), network.state_dict()
    check_same(network, build(config, tensors, source), source)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights(
        target, tensors, {"kind": MODULE_WEIGHTS, "config": config.model_dump(mode="json")}
    )


def read_pickle(path: str, trust: bool) -> Any:  # noqa: ANN401 - mace-torch has no types
    """Load a pickled network on the CPU.

    Args:
        path: the pickle.
        trust: whether it may be loaded, which can run any code.

    Raises:
        InputError: if the file is missing, not trusted, or does not hold a network.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist; give the path of a .json or .model file")
    if not trust:
        raise InputError(
            f"{path} is a pickle, which can run any code; if you trust its source, run "
            f"`molrl energy convert {shlex.quote(path)} OUT.json --trust` once, or use "
            "load_energy(..., trust=True)"
        )
    try:
        with contained():
            network = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # unpickling arbitrary bytes and classes can raise anything
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} is not a network pickled by mace-torch: {line}") from None
    if not isinstance(network, torch.nn.Module):
        raise InputError(f"{path} holds a {type(network).__name__}, not a network of mace-torch")
    return network
