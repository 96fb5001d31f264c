"""What the parent does to carry out a plan: processes, their outcomes, and the state of every job."""
