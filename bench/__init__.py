"""segbench: one metric code path and one timing protocol for segmentation models of any framework."""

__version__ = "0.2.0"
