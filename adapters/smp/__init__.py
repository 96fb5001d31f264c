"""segmentation-models-pytorch behind the common contract."""
