"""Energy models: machine-learned, semiempirical and ASE calculators behind one interface."""

from typing import TYPE_CHECKING

from molrl.lazy import attributes_of

if TYPE_CHECKING:
    from molrl.energy.counting import CountedEnergy
    from molrl.energy.interface import EnergyModel
    from molrl.energy.output import EnergyOutput, Wanted
    from molrl.energy.registry import load_energy
    from molrl.parts import ENERGY_MODELS

__all__ = ["ENERGY_MODELS", "CountedEnergy", "EnergyModel", "EnergyOutput", "Wanted", "load_energy"]

__getattr__ = attributes_of(
    __name__,
    {
        "CountedEnergy": "molrl.energy.counting:CountedEnergy",
        "ENERGY_MODELS": "molrl.parts:ENERGY_MODELS",
        "EnergyModel": "molrl.energy.interface:EnergyModel",
        "EnergyOutput": "molrl.energy.output:EnergyOutput",
        "Wanted": "molrl.energy.output:Wanted",
        "load_energy": "molrl.energy.registry:load_energy",
    },
)
