"""The tasks besides the single bag, one file each."""
