"""MACE: our network and what it is evaluated on, and any network of mace-torch."""

WEIGHTS = "mace"  # the kind of weights that are our network's
MODULE_WEIGHTS = "mace-module"  # and of those that are any network of mace-torch, converted
