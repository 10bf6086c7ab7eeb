"""Which denoisers ship with weights; without PyTorch, so that a listing can ask."""

from pathlib import Path

SHIPPED = Path(__file__).with_name("shipped")
CONFIGS = {
    "diffusion": "experiments/diffusion.yaml",
    "pseudo-force": "experiments/pseudo_force.yaml",
}
"""The config that trains each denoiser, by its name."""


def shipped_weights(kind: str) -> Path:
    """Return the header of the weights that ship, whether or not it exists.

    Args:
        kind: a key of :data:`CONFIGS`.
    """
    return SHIPPED / f"{kind}.json"


def why_not_shipped(kind: str) -> str:
    """Return why a denoiser cannot be named without a run, in a line; empty if it can.

    Args:
        kind: a key of :data:`CONFIGS`.
    """
    if shipped_weights(kind).is_file():
        return ""
    return f"{kind} ships no weights: molrl train {CONFIGS[kind]}, then write {kind}:RUN"
