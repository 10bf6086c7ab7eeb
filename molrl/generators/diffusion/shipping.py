"""Which denoisers ship with weights; without PyTorch, so that a listing can ask."""

from pathlib import Path

SHIPPED = Path(__file__).with_name("shipped")
CONFIGS = {
    "diffusion": "experiments/diffusion.yaml",
    "diffusion-direct": "experiments/diffusion.yaml network.head=direct",
    "pseudo-force": "experiments/pseudo_force.yaml",
}
"""What ``molrl train`` is given to train each denoiser, by the name of its generator."""


def shipped_weights(name: str) -> Path:
    """Return the header of the weights that ship, whether or not it exists.

    Args:
        name: a key of :data:`CONFIGS`.
    """
    return SHIPPED / f"{name}.json"


def why_not_shipped(name: str) -> str:
    """Return why a denoiser cannot be named without a run, in a line; empty if it can.

    Args:
        name: a key of :data:`CONFIGS`.
    """
    if shipped_weights(name).is_file():
        return ""
    return f"{name} ships no weights: molrl train {CONFIGS[name]}, then write {name}:RUN"
