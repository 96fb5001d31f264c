"""Metrics, one file each; the contract is `bench.metric`. `bench list metrics` prints them."""
