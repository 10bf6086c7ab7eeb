"""Checks of parts: that an energy model, reward term, generator or network keeps its contract."""

from molrl.testing.energy import check_energy_model
from molrl.testing.generators import check_generator
from molrl.testing.networks import check_network
from molrl.testing.rewards import check_reward_term

__all__ = ["check_energy_model", "check_generator", "check_network", "check_reward_term"]
