"""Detectron2 behind the common contract; the framework itself is the absolute `detectron2`."""

from adapters.detectron2.framework import import_detectron2

COMPILED = import_detectron2()
"""Whether Detectron2's own compiled operators are here."""
