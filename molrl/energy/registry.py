"""The function that loads an energy model by name."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ase.calculators.calculator import BaseCalculator

from molrl.energy.interface import EnergyModel
from molrl.energy.networks.load import load_network, split_head
from molrl.energy.uncertainty import uncertainty_file
from molrl.errors import InputError, did_you_mean
from molrl.parts import ENERGY_MODELS, NETWORKS
from molrl.registry import accepted, accepting
from molrl.runs.weights import sha256

# Models by name, device and trust, each with what it was loaded from: the target that its kind was
# registered with and the checksums of its files; and with its twin that ignores the charge.
_LOADED: dict[tuple[str, str, bool], tuple[tuple[object, str], EnergyModel, EnergyModel]] = {}

_OPTIONS = ("trust", "ignore_charge")  # that a mapping may hold besides the name


def load_energy(
    name: str | EnergyModel | BaseCalculator | Mapping[str, Any] = "mace",
    device: str = "auto",
    trust: bool = False,
    ignore_charge: bool = False,
) -> EnergyModel:
    """Load an energy model by name; a process holds one model of each name.

    A model is loaded again when its weights or its uncertainty file has changed, or its name has
    been registered anew.

    Args:
        name: one of

            * ``"mace"``, ``"mace-small"``: the shipped networks;
            * ``"gfn2"``, ``"spgfn2"``, ``"pm6"`` (needs scine-sparrow): semiempirical methods;
            * ``"mace:WEIGHTS.json"``, or another architecture before the colon: weights written by
              ``molrl energy fit`` or ``molrl energy convert``;
            * ``"mace:FILE.model"``: a network pickled by mace-torch, which needs ``trust``;
            * ``"mace-mp"``, ``"mace-off"``, ``"mace-omol"``, ``"mace-anicc"``, optionally with a
              variant as in ``"mace-off:small"``: foundation models, whose licences are listed in
              :mod:`molrl.energy.mace_torch.foundations`;
            * a mapping of such a name and options, ``{"name": "mace", "ignore_charge": True}``;
            * an ASE calculator;
            * an :class:`EnergyModel`, which is returned unchanged.
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where one is available.
        trust: whether the file in ``name`` may be a pickle, which can run any code.
        ignore_charge: whether a model that is loaded by name and takes no charge computes charged
            and open-shell molecules as neutral ones of the lowest spin, instead of refusing them.

    Returns:
        The model; the same object for the same arguments.

    Raises:
        InputError: if the model, device or weights file does not exist, or it is a pickle that is
            not trusted.

    Example:
        >>> load_energy("mace").elements
        (1, 6, 7, 8, 9, 16)
        >>> load_energy("mace-off:small", device="cuda")  # doctest: +SKIP
    """
    if isinstance(name, EnergyModel):
        return name
    if isinstance(name, BaseCalculator):
        from molrl.energy.ase_calculator import ASEEnergy

        return ASEEnergy(name)
    if isinstance(name, Mapping):
        options = {"trust": trust, "ignore_charge": ignore_charge} | checked_options(name)
        return load_energy(device=device, **options)
    if not isinstance(name, str):
        raise InputError(
            f"an energy model must be a name, an EnergyModel or an ASE calculator, not {name!r}"
        )
    device = resolve_device(device)
    kind, colon, argument = name.partition(":")
    factory = _factory(kind)
    takes = accepted(factory)
    if colon and "argument" not in takes:
        raise InputError(f"{name!r}: {kind} takes nothing after a colon")
    key = (name, device if "device" in takes else "cpu", trust)
    registry = ENERGY_MODELS if kind in ENERGY_MODELS else NETWORKS
    source = (registry.target(kind), _sum_files(argument))
    if key not in _LOADED or _LOADED[key][0] != source:
        given = {"device": device, "trust": trust}
        taken = {option: value for option, value in given.items() if option in takes}
        model = factory(*([argument] if argument else []), **taken)
        _LOADED[key] = source, model, model.ignoring_charge()
    _, model, ignoring = _LOADED[key]
    return ignoring if ignore_charge else model


def checked_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the name and options of an energy model that is given by a mapping.

    Args:
        spec: ``name``, and ``trust`` or ``ignore_charge``, true or false.

    Raises:
        InputError: if the name is missing, or an option is unknown or does not fit.

    Example:
        >>> checked_options({"name": "mace", "ignore_charge": True})
        {'name': 'mace', 'ignore_charge': True}
    """
    if not isinstance(spec.get("name"), str):
        raise InputError(f"an energy model given by a mapping needs a name: {dict(spec)!r}")
    for option, value in spec.items():
        if option not in ("name", *_OPTIONS):
            hint = did_you_mean(str(option), _OPTIONS)
            raise InputError(f"unknown option {option!r} of an energy model; {hint}")
        if option != "name" and not isinstance(value, bool):
            raise InputError(f"{option} of an energy model must be true or false, not {value!r}")
    return dict(spec)


def _factory(kind: str) -> Callable[..., EnergyModel]:
    """Return the function or class that loads models of a name: registered, or of a network."""
    if kind in ENERGY_MODELS:
        factory: Callable[..., EnergyModel] = ENERGY_MODELS.load(kind)
        return factory
    if kind in NETWORKS:
        return accepting("argument", "device")(partial(load_network, kind))
    hint = did_you_mean(kind, {*ENERGY_MODELS, *NETWORKS})
    raise InputError(f"unknown energy model {kind!r}; {hint}")


def _sum_files(argument: str) -> str:
    """Return the SHA-256 sums of a weights file and of its uncertainty file, where they exist.

    Tensor files need no sum of their own: their JSON headers hold it.
    """
    if not argument:
        return ""
    path = Path(split_head(argument)[0])
    if not os.path.isfile(path):  # a variant of a foundation model, or for the factory to refuse
        return ""
    files = [file for file in (path, uncertainty_file(path)) if file.is_file()]
    return " ".join(sha256(file.read_bytes()) for file in files)


def resolve_device(device: str) -> str:
    """Return the name of a PyTorch device, with ``"auto"`` replaced.

    Args:
        device: ``"auto"`` (a GPU where one is available), ``"cpu"``, ``"cuda"``, ``"cuda:1"``.

    Raises:
        InputError: if the device is unknown or not available.

    Example:
        >>> resolve_device("cpu")
        'cpu'
    """
    import torch

    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"unknown device {device!r}; known are: auto, cpu, cuda")
    name, _, index = device.partition(":")
    if ":" in device and not (index.isdecimal() and int(index) < max(1, torch.cuda.device_count())):
        raise InputError(
            f"device {device!r} is not available; there are {torch.cuda.device_count()} GPUs"
        )
    if name != "cpu" and not available:
        raise InputError(f"device {device!r} is not available; use cpu or auto")
    return device
