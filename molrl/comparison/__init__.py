"""Comparisons of generators: the same tasks, budget, relaxation and evaluator for all of them."""
