"""Derive every published number of a run once more from raw facts, and seal a run so that a change can be proved."""
