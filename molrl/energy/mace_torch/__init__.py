"""Energy models that evaluate networks of mace-torch."""

MODULE_WEIGHTS = "mace-module"  # the kind of weights that are any network of mace-torch, converted
