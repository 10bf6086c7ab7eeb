"""Structures to fit energy models to: molecules, and how they are distorted and combined."""
