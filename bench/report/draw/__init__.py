"""Plots and pictures of a summary."""
