"""Checks of parts: that an energy model, reward term, ... keeps its contract."""

from molrl.testing.algorithms import check_algorithm
from molrl.testing.energy import check_energy_model
from molrl.testing.generators import check_generator
from molrl.testing.networks import check_network
from molrl.testing.policies import check_policy
from molrl.testing.rewards import check_reward_term
from molrl.testing.tasks import check_task

__all__ = [
    "check_algorithm",
    "check_energy_model",
    "check_generator",
    "check_network",
    "check_policy",
    "check_reward_term",
    "check_task",
]
