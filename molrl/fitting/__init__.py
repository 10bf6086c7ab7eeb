"""Fitting energy models: data, objective, fit, accuracy, active learning."""
