"""`bench env …`: environments of adapters; one file per action."""

HELP = "make, list, lock and remove environments of adapters"
GROUP, ORDER = "environment", 2
