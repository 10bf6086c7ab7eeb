"""Networks of mace-torch as energy models."""
