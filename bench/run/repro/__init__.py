"""A finished run, carried out again and compared with itself."""
