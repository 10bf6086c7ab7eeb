"""Algorithms that train a policy: PPO, A2C, imitation and behaviour cloning."""
