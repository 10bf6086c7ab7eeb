"""Readers of molecule files; :func:`molrl.files.read_molecules` chooses among them."""
