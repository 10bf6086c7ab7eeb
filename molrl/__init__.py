"""molrl: reinforcement learning for molecular design in 3D, with energies as rewards.

``import molrl`` registers the environments; heavy libraries are imported when they are needed.

Example:
    >>> import gymnasium as gym, molrl  # doctest: +SKIP
    >>> env = gym.make("MolDesign-v0", bag="CH4O")  # doctest: +SKIP
"""

from typing import TYPE_CHECKING

import gymnasium

from molrl.lazy import attributes_of

if TYPE_CHECKING:
    from molrl import testing
    from molrl.bags import Bag
    from molrl.chemistry.files import write
    from molrl.energy import load_energy
    from molrl.energy.calculator import ase_calculator
    from molrl.energy.relaxation import relax
    from molrl.evaluation.evaluator import evaluate_molecules as evaluate
    from molrl.files import read_molecules as read
    from molrl.generation import Generated, Generator, load_generator
    from molrl.molecules import MoleculeBatch
    from molrl.parts import register
    from molrl.tasks import Task

__version__ = "0.1.0"

__all__ = [
    "Bag",
    "Generated",
    "Generator",
    "MoleculeBatch",
    "Task",
    "ase_calculator",
    "evaluate",
    "load_energy",
    "load_generator",
    "read",
    "register",
    "relax",
    "testing",
    "write",
]

_ATTRIBUTES = {
    "Bag": "molrl.bags:Bag",
    "Generated": "molrl.generation:Generated",
    "Generator": "molrl.generation:Generator",
    "MoleculeBatch": "molrl.molecules:MoleculeBatch",
    "Task": "molrl.tasks:Task",
    "ase_calculator": "molrl.energy.calculator:ase_calculator",
    "evaluate": "molrl.evaluation.evaluator:evaluate_molecules",
    "load_energy": "molrl.energy:load_energy",
    "load_generator": "molrl.generation:load_generator",
    "read": "molrl.files:read_molecules",
    "register": "molrl.parts:register",
    "relax": "molrl.energy.relaxation:relax",
    "testing": "molrl.testing",
    "write": "molrl.chemistry.files:write",
}

_KINDS = {
    "MolDesign-v0": "bag",
    "MolDesignBags-v0": "bags",
    "MolDesignStochastic-v0": "stochastic",
    "MolDesignFormulas-v0": "formulas",
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


__getattr__ = attributes_of(__name__, _ATTRIBUTES)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
