"""Energy models: one interface, several physics."""

from molrl.energy.counting import CountedEnergy
from molrl.energy.interface import EnergyModel, EnergyOutput, Wanted
from molrl.energy.registry import ENERGY_MODELS, load_energy

__all__ = ["ENERGY_MODELS", "CountedEnergy", "EnergyModel", "EnergyOutput", "Wanted", "load_energy"]
