"""Loggers, one file each; the contract is `bench.logger`. Scored cases are copied to trackers here."""
