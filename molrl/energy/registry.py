"""Energy models by name."""

from molrl.energy.interface import EnergyModel
from molrl.errors import InputError
from molrl.registry import Registry

ENERGY_MODELS = Registry(
    "energy model",
    {
        "mace": "molrl.energy.mace:MaceEnergy",
        "gfn2": "molrl.energy.gfn2:GFN2Energy",
        "spgfn2": "molrl.energy.spgfn2:SpinGFN2Energy",
        "pm6": "molrl.energy.pm6:PM6Energy",
    },
)

_LOADED: dict[tuple[str, str], EnergyModel] = {}


def load_energy(name: str | EnergyModel = "mace", device: str = "auto") -> EnergyModel:
    """The energy model called ``name``. A process holds one of each.

    Args:
        name: ``"mace"``, ``"gfn2"``, ``"spgfn2"``, ``"pm6"`` (with scine-sparrow),
            ``"mace:WEIGHTS.json"`` for weights fitted with ``molrl energy fit``, or a model, which
            is returned as it is.
        device: ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"``.

    Raises:
        InputError: if there is no such model, device or weights file.
    """
    if isinstance(name, EnergyModel):
        return name
    if not isinstance(name, str):
        raise InputError(f"an energy model is named by a string, not by {name!r}")
    device = resolve_device(device)
    key = (name, device)
    if key not in _LOADED:
        kind, colon, argument = name.partition(":")
        factory = ENERGY_MODELS.load(kind)
        if colon and kind != "mace":
            raise InputError(f"{name!r}: {kind} takes nothing after a colon")
        arguments = [argument] if argument else []
        _LOADED[key] = factory(*arguments, device=device)
    return _LOADED[key]


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
    if index and not (index.isdecimal() and int(index) < max(1, torch.cuda.device_count())):
        raise InputError(
            f"device {device!r} is not here; there are {torch.cuda.device_count()} GPUs"
        )
    if name != "cpu" and not available:
        raise InputError(f"device {device!r} is not here; use cpu or auto")
    return device
