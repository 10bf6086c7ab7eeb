"""Evaluation of molecules, and its tables, files and pictures."""
