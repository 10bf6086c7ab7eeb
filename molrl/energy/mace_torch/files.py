"""Networks of mace-torch in files: converted ones, and pickles that are trusted."""

import os
import shlex
from pathlib import Path
from typing import Any

import torch

from molrl.energy.mace_torch.config import MaceModuleConfig, build, check_same, describe
from molrl.energy.mace_torch.energy import MaceModuleEnergy
from molrl.energy.networks.load import MODULE_WEIGHTS
from molrl.errors import InputError
from molrl.runs.config import parse_config
from molrl.runs.weights import load_weights, save_weights, sha256
from molrl.safe_e3nn import contained


def load_module(file: str, head: str | None, device: str, trust: bool) -> MaceModuleEnergy:
    """A network of mace-torch from a file.

    Args:
        file: what ``molrl energy convert`` wrote (``.json``), or a network that was pickled by
            mace-torch.
        head: which of several heads.
        device: where to compute.
        trust: whether a pickle may be loaded. It can run any code.

    Raises:
        InputError: if there is no such file, it is damaged or of another kind, or it is a pickle
            that is not trusted.
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
    """Turn a network that was pickled by mace-torch into JSON and safetensors.

    Args:
        source: the pickle.
        output: the JSON file to write; the tensors go to the same name with ``.safetensors``.
        trust: whether the pickle may be loaded. It can run any code.

    Raises:
        InputError: if it is not trusted, cannot be loaded, or the network that is built again from
            what would be written has other energies; nothing is written then.
    """
    target = Path(output)
    if target.suffix != ".json":
        raise InputError(f"output {output} is no name for weights; it must end in .json")
    for path in (target, target.with_suffix(".safetensors")):
        if os.path.exists(path):
            raise InputError(f"output {path} is there already; name another")
    network = read_pickle(source, trust)
    config, tensors = describe(network, source), network.state_dict()
    check_same(network, build(config, tensors, source), source)
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights(
        target, tensors, {"kind": MODULE_WEIGHTS, "config": config.model_dump(mode="json")}
    )


def read_pickle(path: str, trust: bool) -> Any:  # noqa: ANN401 - mace-torch has no types
    """The network in a pickle, on the CPU.

    Raises:
        InputError: if it is not trusted, there is no such file, or it holds no network.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path} does not exist; give the path of a .json or .model file")
    if not trust:
        raise InputError(
            f"{path} is a pickle, which can run any code; if you trust where it comes from, run "
            f"`molrl energy convert {shlex.quote(path)} OUT.json --trust` once, or pass what "
            "load_energy gives with trust=True"
        )
    try:
        with contained():
            network = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever its classes and its bytes make the unpickler stumble over
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} is no network pickled by mace-torch: {line}") from None
    if not isinstance(network, torch.nn.Module):
        raise InputError(f"{path} holds a {type(network).__name__}, not a network of mace-torch")
    return network
