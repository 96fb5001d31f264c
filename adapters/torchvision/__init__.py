"""torchvision's segmentation networks and its Mask R-CNN; `import torchvision` in here is the framework."""
