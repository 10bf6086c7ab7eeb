"""The config of a training that is given by its task alone."""

import json
import re
from collections.abc import Mapping

TRAINING = {"total_steps": 120_000, "checkpoint_every": 30_000}
# Of tasks of bags alone, whose molecules are relaxed whole, and imitated.
IMITATION = {
    "algorithm": {"name": "imitation"},
    "total_steps": 60_000,
    "checkpoint_every": 15_000,
}
_IMITATED = ("bag", "bags", "stochastic")


def training_overrides(task: object) -> list[str]:
    """Return the overrides that make a complete config of a task.

    Args:
        task: plain data: a formula, or the fields of a task.

    Returns:
        ``key=value`` each; overrides after them replace them.

    Example:
        >>> training_overrides("CH4O")[:2]
        ['run_dir="runs/train-CH4O"', 'task="CH4O"']
    """
    name = task.get("bag", "") if isinstance(task, Mapping) else task
    kind = task.get("kind", "bag") if isinstance(task, Mapping) else "bag"
    words = [str(word) for word in (kind if kind != "bag" else "", name) if word]
    free = re.sub(r"[^\w.-]+", "-", "-".join(["train", *words]))[:60]
    training = IMITATION if kind in _IMITATED else TRAINING
    data = {"run_dir": f"runs/{free}", "task": task, **training}
    return [f"{key}={json.dumps(value)}" for key, value in data.items()]
