"""MACE as matrix products: the network and the graph that it is evaluated on."""
