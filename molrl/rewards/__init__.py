"""Rewards: weighted sums of terms over an energy model and the chemistry of molecules."""

from molrl.parts import REWARD_TERMS
from molrl.rewards.energy_difference import EnergyDifference, Placements, RewardOutput
from molrl.rewards.interface import PlacedAtoms, RewardTerm
from molrl.rewards.registry import Reward, build_reward, contains_code
from molrl.rewards.wants import combine_wants

__all__ = [
    "REWARD_TERMS",
    "EnergyDifference",
    "PlacedAtoms",
    "Placements",
    "Reward",
    "RewardOutput",
    "RewardTerm",
    "build_reward",
    "combine_wants",
    "contains_code",
]
