"""Segmentation models as TorchScript, whatever made them."""
