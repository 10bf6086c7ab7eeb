"""Generators that are no agents."""
