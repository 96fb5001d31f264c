"""Makes one file of a run, with the same bytes each time, and a run of such a file, which is verified first."""
