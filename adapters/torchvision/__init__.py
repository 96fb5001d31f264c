"""torchvision's segmentation networks; `import torchvision` in here is the framework."""
