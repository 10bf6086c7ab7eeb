"""The judge, its figures and its plots."""
