"""Says where the files of COCO itself come from."""

from __future__ import annotations

from bench.data.formats.sources import Archive, Part, Preparation

ADDRESS = "http://images.cocodataset.org"
VAL = Archive(f"{ADDRESS}/zips/val2017.zip", "md5:442b8da7639aecaf257c1dceb8ba8c80")
TRAIN = Archive(f"{ADDRESS}/zips/train2017.zip", "md5:cced6f7f71b7629ddf16f17bbcfab6b2")
INSTANCES = Archive(
    f"{ADDRESS}/annotations/annotations_trainval2017.zip",
    "md5:f4bbac642086de4f52a3fdda2de5fa2c",
    only=("annotations/instances_*2017.json",),
)
PANOPTIC = Archive(
    f"{ADDRESS}/annotations/panoptic_annotations_trainval2017.zip",
    "sha256:c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370",
    inner=("annotations/panoptic_*2017.zip",),
)
STUFF = Archive(
    f"{ADDRESS}/annotations/stuff_annotations_trainval2017.zip",
    "md5:2a27c15a2dfcbd2e1c9276dc23cac101",
    only=("annotations/stuff_*2017.json",),
)
SEGMENTS, KINDS_OF_STUFF = "segments of both splits, for truth: panoptic", "stuff of both splits, for truth: stuff"
PREPARE = Preparation(
    (
        Part("val", "5,000 images", (VAL,), None, splits=("val",)),
        Part("train", "118,287 images", (TRAIN,), None, splits=("train",), by_default=False),
        Part("instances", "objects of both splits, for truth: instances", (INSTANCES,)),
        Part("panoptic", SEGMENTS, (PANOPTIC,), {"truth": "panoptic"}, by_default=False),
        Part("stuff", KINDS_OF_STUFF, (STUFF,), {"truth": "stuff"}, by_default=False),
    )
)
OBTAIN = (
    "Fetch it with: bench data prepare coco --out data/coco. By hand: unpack train2017.zip, val2017.zip, "
    "annotations_trainval2017.zip, panoptic_annotations_trainval2017.zip and stuff_annotations_trainval2017.zip from "
    f"{ADDRESS} into one folder; the panoptic PNGs are in archives within the last but one."
)
