"""What is known of the registered energy models together."""

from molrl.errors import InputError
from molrl.parts import ENERGY_MODELS, FOUNDATION_MODELS


def models_with_charge() -> list[str]:
    """Return the names of the registered models that take the charge, without foundation models.

    Those are of mace-torch, whose import is slow.
    """
    return [name for name in ENERGY_MODELS if name not in FOUNDATION_MODELS and _takes_charge(name)]


def _takes_charge(name: str) -> bool:
    try:
        return bool(getattr(ENERGY_MODELS.load(name), "takes_charge", False))
    except InputError:  # of an installed package, and cannot be imported
        return False
