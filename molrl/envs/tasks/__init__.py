"""Tasks besides the single bag, one file each."""
