"""Chemistry by RDKit: bonds, validity, identity, enumeration, fragments, the shipped molecules."""
