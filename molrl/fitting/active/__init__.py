"""Active learning: a model finds what it does not know, has it labelled, and is fitted again."""
