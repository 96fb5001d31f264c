"""Segmentation models in the format of TensorFlow Lite."""
