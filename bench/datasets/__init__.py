"""Data sets, one file each; the contract is `bench.dataset`. `bench list datasets` prints them."""
