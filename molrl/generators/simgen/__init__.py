"""SiMGen: molecules assembled by a similarity kernel, with no training of their own.

Elijošius et al., Nat. Commun. 16 (2025), "Zero shot molecular generation via similarity kernels".
"""
