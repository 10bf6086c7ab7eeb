"""What RDKit knows of a molecule: bonds, validity, identity, enumeration."""
