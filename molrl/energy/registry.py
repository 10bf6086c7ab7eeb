"""Energy models by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ase.calculators.calculator import BaseCalculator

from molrl.energy.interface import EnergyModel
from molrl.energy.networks.interface import NETWORKS
from molrl.energy.networks.load import load_network, split_head
from molrl.energy.uncertainty import beside
from molrl.errors import InputError
from molrl.registry import Registry, accepted, accepting
from molrl.runs.weights import sha256

ENERGY_MODELS = Registry(
    "energy model",
    {
        "mace": "molrl.energy.networks.load:load_mace",
        "mace-small": "molrl.energy.networks.load:load_small",
        "mace-mp": "molrl.energy.mace_torch.foundations:MACE_MP",
        "mace-off": "molrl.energy.mace_torch.foundations:MACE_OFF",
        "mace-omol": "molrl.energy.mace_torch.foundations:MACE_OMOL",
        "mace-anicc": "molrl.energy.mace_torch.foundations:MACE_ANI",
        "gfn2": "molrl.energy.gfn2:GFN2Energy",
        "spgfn2": "molrl.energy.spgfn2:SpinGFN2Energy",
        "pm6": "molrl.energy.pm6:PM6Energy",
    },
)

# By name, device and trust: the sums of the files that a model came from, and the model.
_LOADED: dict[tuple[str, str, bool], tuple[str, EnergyModel]] = {}


def load_energy(
    name: str | EnergyModel | BaseCalculator = "mace", device: str = "auto", trust: bool = False
) -> EnergyModel:
    """The energy model called ``name``. A process holds one of each.

    One that came from a file is loaded again when the file, or the mixture beside it, has changed.

    Args:
        name: ``"mace"``, ``"mace-small"``, ``"gfn2"``, ``"spgfn2"``, ``"pm6"`` (with
            scine-sparrow); ``"mace:WEIGHTS.json"`` for weights that ``molrl energy fit`` or
            ``molrl energy convert`` wrote, ``"mace:ANY.model"`` for a network that mace-torch
            pickled; ``"mace-mp"``, ``"mace-off"``, ``"mace-omol"``, ``"mace-anicc"`` and, after a
            colon, one of their variants, for a foundation model, whose licences are in
            :mod:`molrl.energy.mace_torch.foundations`; an ASE calculator; or a model, which is
            returned as it is.
        device: ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"``.
        trust: whether a pickle that ``name`` is the path of may be loaded. It can run any code.

    Raises:
        InputError: if there is no such model, device or weights file, or it is a pickle that is
            not trusted.
    """
    if isinstance(name, EnergyModel):
        return name
    if isinstance(name, BaseCalculator):
        from molrl.energy.ase_calculator import ASEEnergy

        return ASEEnergy(name)
    if not isinstance(name, str):
        raise InputError(
            f"an energy model is named by a string, or is an ASE calculator, not {name!r}"
        )
    device = resolve_device(device)
    kind, colon, argument = name.partition(":")
    factory = _factory(kind)
    takes = accepted(factory)
    if colon and "argument" not in takes:
        raise InputError(f"{name!r}: {kind} takes nothing after a colon")
    key = (name, device if "device" in takes else "cpu", trust)
    sums = _sum_files(argument)
    if key not in _LOADED or _LOADED[key][0] != sums:
        given = {"device": device, "trust": trust}
        options = {option: value for option, value in given.items() if option in takes}
        _LOADED[key] = sums, factory(*([argument] if argument else []), **options)
    return _LOADED[key][1]


def _factory(kind: str) -> Callable[..., EnergyModel]:
    """What loads the models of a name: a function or a class of its own, or of a network's."""
    if kind not in ENERGY_MODELS and kind in NETWORKS:
        return accepting("argument", "device")(partial(load_network, kind))
    factory: Callable[..., EnergyModel] = ENERGY_MODELS.load(kind)
    return factory


def _sum_files(argument: str) -> str:
    """The SHA-256 sums of the file that an argument names and of the mixture beside it, if any.

    A header of weights holds the sum of its tensors, so that theirs is in it.
    """
    if not argument:
        return ""
    path = Path(split_head(argument)[0])
    if not path.is_file():  # a variant of a foundation model, or for the factory to refuse
        return ""
    files = [file for file in (path, beside(path)) if file.is_file()]
    return " ".join(sha256(file.read_bytes()) for file in files)


def resolve_device(device: str) -> str:
    """``"auto"`` resolved to what there is.

    Raises:
        InputError: if a device is asked for that is not there.
    """
    import torch

    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise InputError(f"no device is called {device!r}; known are: auto, cpu, cuda")
    name, _, index = device.partition(":")
    if ":" in device and not (index.isdecimal() and int(index) < max(1, torch.cuda.device_count())):
        raise InputError(
            f"device {device!r} is not here; there are {torch.cuda.device_count()} GPUs"
        )
    if name != "cpu" and not available:
        raise InputError(f"device {device!r} is not here; use cpu or auto")
    return device
