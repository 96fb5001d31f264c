"""MONAI behind the common contract."""
