"""Runs in the process that predicts files for `bench predict`."""
