"""Rewards: terms over an energy model and the chemistry, that compose with weights."""

from molrl.rewards.energy_difference import EnergyDifference, Placements, RewardOutput
from molrl.rewards.interface import Placed, RewardTerm
from molrl.rewards.registry import REWARD_TERMS, Reward, build_reward, names_code

__all__ = [
    "REWARD_TERMS",
    "EnergyDifference",
    "Placed",
    "Placements",
    "Reward",
    "RewardOutput",
    "RewardTerm",
    "build_reward",
    "names_code",
]
