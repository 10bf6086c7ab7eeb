"""Energy models that evaluate networks of mace-torch."""
