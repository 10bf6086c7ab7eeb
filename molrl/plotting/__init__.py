"""Pictures of molecules, learning curves, and errors of energy models."""
