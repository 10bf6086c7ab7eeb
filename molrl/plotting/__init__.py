"""Pictures: molecules, learning curves, errors of energy models."""
