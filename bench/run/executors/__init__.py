"""Carries out the jobs of a run, one file per engine; the contract is `bench/run/executor.py`."""
