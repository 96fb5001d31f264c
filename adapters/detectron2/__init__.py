"""Detectron2 behind the common contract; `import detectron2` in here is the framework."""
