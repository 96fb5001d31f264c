"""Where the jobs of a run are carried out, one file per engine; the contract is `bench/run/executor.py`."""
