"""Checks of this machine: frameworks, devices, data sets."""
