"""Carries out a plan in the parent: processes, their outcomes, and the state of every job."""
