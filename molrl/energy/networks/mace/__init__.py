"""MACE written as matrix products: the network, its graph, and the widening of its weights."""
