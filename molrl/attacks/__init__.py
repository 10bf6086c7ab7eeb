"""Searches for structures that an energy model binds too strongly, behind the clash guard."""
