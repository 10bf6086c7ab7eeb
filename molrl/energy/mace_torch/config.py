"""The settings of a mace-torch network as plain data, read from it and built back into one."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from molrl.energy.mace_torch.energy import elements, heads, run
from molrl.errors import InputError
from molrl.molecules import MoleculeBatch
from molrl.runs.config import Config, parse_config
from molrl.safe_e3nn import contained, o3

with contained():
    from mace.modules import ScaleShiftMACE, gate_dict, interaction_classes, readout_classes
    from mace.tools.scripts_utils import extract_config_mace_model
    from mace.tools.torch_tools import default_dtype

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_CLASSES = {
    "interaction_cls": interaction_classes,
    "interaction_cls_first": interaction_classes,
    "readout_cls": readout_classes,
}
_IRREPS = ("hidden_irreps", "MLP_irreps", "edge_irreps")
_TOLERANCE = 1e-6  # eV, allowed difference between the energies of a network and its rebuilt copy


class Embedding(Config):
    """The settings of mace-torch's embedding of one number of a molecule, under its own names."""

    type: Literal["categorical", "continuous"]
    per: Literal["graph"]
    emb_dim: int = Field(ge=1)
    num_classes: int | None = None
    in_dim: int | None = None
    offset: int = 0
    use_bias: bool = True


class MaceModuleConfig(Config):
    """The arguments of mace-torch's ``ScaleShiftMACE``, under its own names, as plain data.

    Attributes:
        dtype: the floating type of the network.

    Example:
        >>> config = describe(torch.load("my.model"), "my.model")  # doctest: +SKIP
        >>> network = build(config, tensors, "my.json")  # doctest: +SKIP
    """

    dtype: Literal["float32", "float64"]
    r_max: float = Field(gt=0)
    num_bessel: int = Field(ge=1)
    num_polynomial_cutoff: int = Field(ge=1)
    max_ell: int = Field(ge=0, le=6)
    interaction_cls: str
    interaction_cls_first: str
    num_interactions: int = Field(ge=1, le=8)
    num_elements: int = Field(ge=1)
    hidden_irreps: str
    edge_irreps: str | None
    MLP_irreps: str
    gate: str
    use_reduced_cg: bool
    use_so3: bool
    use_edge_irreps_first: bool
    use_agnostic_product: bool
    use_last_readout_only: bool
    use_embedding_readout: bool
    readout_cls: str
    atomic_energies: tuple[float, ...] | tuple[tuple[float, ...], ...]
    avg_num_neighbors: float
    atomic_numbers: tuple[int, ...]
    correlation: int = Field(ge=1, le=5)
    radial_type: str
    embedding_specs: dict[str, Embedding] | None
    apply_cutoff: bool
    radial_MLP: tuple[int, ...]
    pair_repulsion: bool
    distance_transform: str | None
    atomic_inter_scale: float | tuple[float, ...]
    atomic_inter_shift: float | tuple[float, ...]
    heads: tuple[str, ...]


def describe(network: torch.nn.Module, name: str) -> MaceModuleConfig:
    """Return the settings of a network.

    Args:
        network: of mace-torch.
        name: what it is called in error messages.

    Raises:
        InputError: if the network is of a class or form that cannot be described.
    """
    if type(network) is not ScaleShiftMACE:
        raise InputError(
            f"{name} holds a {type(network).__name__}; only a ScaleShiftMACE can be converted"
        )
    found = extract_config_mace_model(network)
    if found.pop("cueq_config") is not None:
        raise InputError(f"{name} is compiled for cuEquivariance; convert the plain network")
    gates = [key for key, gate in gate_dict.items() if gate is found["gate"]]
    found["gate"] = gates[0] if gates else str(found["gate"])
    found["dtype"] = str(next(network.parameters()).dtype).removeprefix("torch.")
    return parse_config(
        {key: _plain(value) for key, value in found.items()}, MaceModuleConfig, where=name
    )


def build(config: MaceModuleConfig, tensors: Mapping[str, Tensor], where: str) -> torch.nn.Module:
    """Build a network with given weights on the CPU.

    Args:
        config: its settings.
        tensors: its parameters and buffers by name.
        where: what they are called in error messages.

    Raises:
        InputError: if the settings are invalid, or the weights do not fit them.
    """
    options = config.model_dump(exclude={"dtype"})
    try:
        for key, classes in _CLASSES.items():
            options[key] = classes[options[key]]
        for key in _IRREPS:
            options[key] = None if options[key] is None else o3.Irreps(options[key])
        options["gate"] = gate_dict[options["gate"]]
        for key in ("atomic_energies", "atomic_inter_scale", "atomic_inter_shift"):
            options[key] = np.array(options[key])
        for key in ("atomic_numbers", "radial_MLP", "heads"):
            options[key] = list(options[key])
        # The constructor draws weights, which are replaced; the global generator stays unchanged.
        with contained(), default_dtype(_DTYPES[config.dtype]), torch.random.fork_rng(devices=[]):
            network: torch.nn.Module = ScaleShiftMACE(**options)
        network.load_state_dict(tensors)
    except Exception as error:  # invalid settings fail in many ways inside mace-torch and e3nn
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{where} does not describe a network of mace-torch: {line}") from None
    return network


def check_same(one: torch.nn.Module, other: torch.nn.Module, name: str) -> None:
    """Check that two networks have the same energies on random clusters of all their elements.

    Args:
        one: a network of mace-torch.
        other: the same network, rebuilt.
        name: what it is called in error messages.

    Raises:
        InputError: if total or interaction energies differ.
    """
    clusters = _clusters(elements(one))
    for head in range(len(heads(one))):
        with torch.no_grad():
            wanted, found = (run(network, clusters, head) for network in (one, other))
        for energy in ("energy", "interaction_energy"):
            error = float((found[energy] - wanted[energy]).abs().max())
            if not error <= _TOLERANCE:
                raise InputError(
                    f"{name} cannot be converted: its energies would differ by {error} eV"
                )


def _clusters(known: list[int]) -> MoleculeBatch:
    """Return clusters of 5 atoms about 1.5 Å apart that contain each element several times."""
    rng = np.random.default_rng(0)
    numbers = np.concatenate([rng.permutation(known) for _ in range(4)])
    numbers = np.resize(numbers, (-(-len(numbers) // 5), 5))
    cross = 1.5 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]])
    return MoleculeBatch.from_arrays(
        (row, cross + rng.normal(0, 0.1, cross.shape)) for row in numbers
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - mace-torch has no types
    """Convert a setting of mace-torch to plain data, recursively."""
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, o3.Irreps):
        return str(value)
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
