"""This package plans a run: what is on disk, what is wrong with the suite, and what is to be done."""
