"""`bench compare`: two or more runs, cases or stored baselines against each other, and a gate for pull requests."""
