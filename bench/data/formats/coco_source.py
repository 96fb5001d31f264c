"""Says where the files of COCO itself come from."""

from __future__ import annotations

from bench.data.formats.sources import Archive, Part, Preparation

ADDRESS = "http://images.cocodataset.org"
PREPARE = Preparation(
    parts=(
        Part(
            name="val",
            what="5,000 images",
            archives=(Archive(f"{ADDRESS}/zips/val2017.zip", "md5:442b8da7639aecaf257c1dceb8ba8c80"),),
            options=None,
            splits=("val",),
        ),
        Part(
            name="train",
            what="118,287 images",
            archives=(Archive(f"{ADDRESS}/zips/train2017.zip", "md5:cced6f7f71b7629ddf16f17bbcfab6b2"),),
            options=None,
            splits=("train",),
            by_default=False,
        ),
        Part(
            name="instances",
            what="objects of both splits, for truth: instances",
            archives=(
                Archive(
                    f"{ADDRESS}/annotations/annotations_trainval2017.zip",
                    "md5:f4bbac642086de4f52a3fdda2de5fa2c",
                    only=("annotations/instances_*2017.json",),
                ),
            ),
        ),
        Part(
            name="panoptic",
            what="segments of both splits, for truth: panoptic",
            archives=(
                Archive(
                    f"{ADDRESS}/annotations/panoptic_annotations_trainval2017.zip",
                    "sha256:c05f76d2129b6b561eb70efe16e7006df62f73fb92889132d373b9d90e31a370",
                    inner=("annotations/panoptic_*2017.zip",),
                ),
            ),
            options={"truth": "panoptic"},
            by_default=False,
        ),
        Part(
            name="stuff",
            what="stuff of both splits, for truth: stuff",
            archives=(
                Archive(
                    f"{ADDRESS}/annotations/stuff_annotations_trainval2017.zip",
                    "md5:2a27c15a2dfcbd2e1c9276dc23cac101",
                    only=("annotations/stuff_*2017.json",),
                ),
            ),
            options={"truth": "stuff"},
            by_default=False,
        ),
    )
)
OBTAIN = (
    "Fetch it with: bench data prepare coco --out data/coco. By hand: unpack train2017.zip, val2017.zip, "
    "annotations_trainval2017.zip, panoptic_annotations_trainval2017.zip and stuff_annotations_trainval2017.zip from "
    f"{ADDRESS} into one folder; the panoptic PNGs are in archives within the last but one."
)
