"""The registry of energy models."""

from molrl.registry import Registry

_FOUNDATION_MODELS = {
    "mace-mp": "molrl.energy.mace_torch.foundations:MACE_MP",
    "mace-off": "molrl.energy.mace_torch.foundations:MACE_OFF",
    "mace-omol": "molrl.energy.mace_torch.foundations:MACE_OMOL",
    "mace-anicc": "molrl.energy.mace_torch.foundations:MACE_ANI",
}
ENERGY_MODELS = Registry(
    "energy model",
    {
        "mace": "molrl.energy.networks.load:load_mace",
        "mace-small": "molrl.energy.networks.load:load_small",
        **_FOUNDATION_MODELS,
        "gfn2": "molrl.energy.gfn2:GFN2Energy",
        "spgfn2": "molrl.energy.spgfn2:SpinGFN2Energy",
        "pm6": "molrl.energy.pm6:PM6Energy",
    },
)


def models_with_charge() -> list[str]:
    """Return the names of the registered models that take the charge, without foundation models.

    Those are of mace-torch, whose import is slow.
    """
    models = {
        name: ENERGY_MODELS.load(name) for name in ENERGY_MODELS if name not in _FOUNDATION_MODELS
    }
    return [name for name, model in models.items() if getattr(model, "takes_charge", False)]
