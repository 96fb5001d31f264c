"""YOLO instance and semantic segmentation by the Ultralytics package (AGPL-3.0)."""
