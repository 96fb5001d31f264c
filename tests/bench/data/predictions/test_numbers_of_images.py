"""Numbers of images in results are those of the split that is scored, though other splits have the same ones."""

from __future__ import annotations

import pytest

from bench.data.formats.by_name import open_dataset
from bench.data.labels.dataset import MappedDataset
from bench.data.predictions.requested import asked
from bench.records import Labels, ModelSpec
from tests.bench.datasets.coco_projects import LAYOUT, project

MODEL = ModelSpec(
    name="predictions/files", label="mine", adapter="predictions", task="instance", description="", trainable=False
)


def number_anew(document):
    """Number the images of a split from 1 on."""
    number = {row["id"]: k for k, row in enumerate(document["images"], start=1)}
    for row in document["images"]:
        row["id"] = number[row["id"]]
    for row in document["annotations"]:
        row["image_id"] = number[row["image_id"]]


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("anew", [True, False])
def test_an_image_goes_by_its_number_in_the_file_of_its_split(tmp_path, alike, anew):
    def change(document):
        if anew:
            number_anew(document)
        for k, row in enumerate(document["images"]):
            row["file_name"] = f"{k}.png" if alike else row["file_name"]

    root = project(tmp_path, change)
    for split in ("train", "val", "test") if alike else ():
        for k in range(3):
            (root / split / f"{split}_{k}.png").rename(root / split / f"{k}.png")
    dataset = MappedDataset(open_dataset("coco", {"root": str(root), **LAYOUT}), Labels(merge={"any": ("cell", "rod")}))
    found = asked(MODEL, dataset, "test", None, annotations=None)
    first = 1 if anew else 300
    assert [found.numbers[str(first + k)] for k in range(3)] == list(dataset.ids("test"))
    if not anew:
        assert {found.id_of(str(100 + k)) for k in range(3)} == set(dataset.ids("train"))
