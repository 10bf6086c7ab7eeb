"""molrl: reinforcement learning for molecular design in 3D, with energies as rewards.

``import molrl`` registers the environments; heavy libraries are imported when they are needed.

Example:
    >>> import gymnasium as gym, molrl  # doctest: +SKIP
    >>> env = gym.make("MolDesign-v0", bag="CH4O")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

import gymnasium

if TYPE_CHECKING:
    from molrl.bags import Bag
    from molrl.energy import load_energy
    from molrl.generation import Generated, Generator, load_generator
    from molrl.molecules import MoleculeBatch
    from molrl.tasks import Task

__version__ = "0.1.0"

__all__ = [
    "Bag",
    "Generated",
    "Generator",
    "MoleculeBatch",
    "Task",
    "load_energy",
    "load_generator",
]

_MODULES = {
    "Bag": "molrl.bags",
    "Generated": "molrl.generation",
    "Generator": "molrl.generation",
    "MoleculeBatch": "molrl.molecules",
    "Task": "molrl.tasks",
    "load_energy": "molrl.energy",
    "load_generator": "molrl.generation",
}

_KINDS = {
    "MolDesign-v0": "bag",
    "MolDesignBags-v0": "bags",
    "MolDesignStochastic-v0": "stochastic",
    "MolDesignCluster-v0": "cluster",
    "MolDesignScaffold-v0": "scaffold",
    "MolDesignLinker-v0": "linker",
    "MolDesignShape-v0": "shape",
    "MolDesignComplex-v0": "complex",
}

for _id, _kind in _KINDS.items():
    gymnasium.register(
        id=_id,
        entry_point="molrl.envs.design:MolDesignEnv",
        vector_entry_point="molrl.envs.vector:MolDesignVectorEnv",
        kwargs={"task": {"kind": _kind}},
    )


def __getattr__(name: str) -> Any:  # noqa: ANN401 - an object of any type
    if name not in _MODULES:
        raise AttributeError(f"module 'molrl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
