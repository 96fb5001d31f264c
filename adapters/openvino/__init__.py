"""Segmentation models in OpenVINO's own format, whatever made them."""
