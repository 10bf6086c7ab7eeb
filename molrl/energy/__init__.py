"""Energy models: machine-learned, semiempirical and ASE calculators behind one interface."""

from molrl.energy.counting import CountedEnergy
from molrl.energy.interface import EnergyModel, EnergyOutput, Wanted
from molrl.energy.registry import load_energy
from molrl.parts import ENERGY_MODELS

__all__ = ["ENERGY_MODELS", "CountedEnergy", "EnergyModel", "EnergyOutput", "Wanted", "load_energy"]
