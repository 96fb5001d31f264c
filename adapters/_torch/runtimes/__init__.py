"""Runtimes of a torch network: eager, compiled, exported."""
