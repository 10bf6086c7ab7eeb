"""Structures with labels to fit an energy model to: how they are made, kept and split."""
