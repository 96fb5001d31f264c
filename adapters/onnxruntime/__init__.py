"""Segmentation models in the ONNX format, whatever made them."""
