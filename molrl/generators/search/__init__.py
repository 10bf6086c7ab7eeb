"""Searches for low-energy structures: random structure search and basin hopping."""
