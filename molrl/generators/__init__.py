"""Generators of molecules that are no agents."""
