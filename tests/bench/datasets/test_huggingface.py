"""Tables of Hugging Face `datasets` give the pixels that its library gives, without a network."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from bench.data.exports.huggingface import export
from bench.data.formats.by_name import open_dataset as open_by_name
from bench.datasets.huggingface import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.comparison import all_ids, labels, objects, reopened, scenes

hf = pytest.importorskip("datasets")
NAMES = ["background", "cell", "rod"]
SIZE = (6, 8)


def picture(number):
    return np.full((*SIZE, 3), number * 7, np.uint8)


def mask(number):
    found = np.zeros(SIZE, np.uint8)
    found[1:3, number % 4 : number % 4 + 3] = 1
    found[4, 5] = 2
    return found


def columns(features, rows=5, start=0, **columns):
    """A table of the library's with images and other columns."""
    numbers = range(start, start + rows)
    values = {"image": [Image.fromarray(picture(n)) for n in numbers]}
    values |= {name: [make(n) for n in numbers] for name, make in columns.items()}
    return hf.Dataset.from_dict(values, features=hf.Features({"image": hf.Image(), **features}))


def opened(root, **options):
    return open_dataset(Options.model_validate({"root": str(root), **options}, strict=False))


MASKS = {
    "Image": (hf.Image(), lambda n: Image.fromarray(mask(n))),
    "Array2D": (hf.Array2D(SIZE, "uint8"), mask),
    "Array3D": (hf.Array3D((1, *SIZE), "uint8"), lambda n: mask(n)[None]),
    "lists of ClassLabel": (hf.Sequence(hf.Sequence(hf.ClassLabel(names=NAMES))), lambda n: mask(n).tolist()),
}


@pytest.mark.parametrize("form", ["parquet", "saved"])
@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_kind_are_read_from_parquet_and_from_a_saved_folder(tmp_path, kind, form):
    feature, make = MASKS[kind]
    tables = {
        "train": columns({"label": feature}, 5, label=make),
        "test": columns({"label": feature}, 3, 5, label=make),
    }
    if form == "saved":
        hf.DatasetDict(tables).save_to_disk(tmp_path / "x")
    else:
        for split, table in tables.items():
            (tmp_path / "x" / "data").mkdir(parents=True, exist_ok=True)
            table.to_parquet(tmp_path / "x" / "data" / f"{split}-00000-of-00001.parquet", batch_size=2)
    named = {} if kind == "lists of ClassLabel" else {"classes": NAMES}
    dataset = opened(tmp_path / "x", **named)
    assert [c.name for c in dataset.classes] == NAMES
    assert [len(dataset.ids(split)) for split in ("train", "test")] == [5, 3]
    for number, image_id in enumerate((*dataset.ids("train"), *dataset.ids("test"))):
        assert dataset.image(image_id).tolist() == picture(number).tolist()
        assert dataset.size(image_id) == SIZE
        assert dataset.target(image_id).semantic.labels.tolist() == mask(number).tolist()
    assert dataset.fingerprint("train") != dataset.fingerprint("test")


def test_shards_are_one_split_in_their_order(tmp_path):
    for shard in range(2):
        table = columns({"mask": hf.Image()}, 2, 2 * shard, mask=lambda n: Image.fromarray(mask(n)))
        table.to_parquet(tmp_path / f"train-{shard:05d}-of-00002.parquet")
    dataset = opened(tmp_path, classes=NAMES)
    assert dataset.ids("train") == tuple(f"train__{n:06d}" for n in range(4))
    assert dataset.image("train__000003").tolist() == picture(3).tolist()
    folded = open_by_name("huggingface", {"root": str(tmp_path), "classes": NAMES, "folds": 2, "fold": 1})
    assert len(folded.ids("test")) == 2


OBJECTS = {
    "list of structures": [
        {"category": hf.ClassLabel(names=NAMES), "segmentation": hf.Sequence(hf.Sequence(hf.Value("float32")))}
    ],
    "structure of lists": hf.Sequence(
        {"category": hf.ClassLabel(names=NAMES), "segmentation": hf.Sequence(hf.Sequence(hf.Value("float32")))}
    ),
}


@pytest.mark.parametrize("form", OBJECTS)
def test_polygons_with_a_classlabel_are_objects(tmp_path, form):
    boxes = [[1.0, 1, 4, 1, 4, 3, 1, 3]], [[5.0, 2, 8, 2, 8, 6, 5, 6]]
    rows = [{"category": 1, "segmentation": boxes[0]}, {"category": 2, "segmentation": boxes[1]}]
    as_lists = {key: [row[key] for row in rows] for key in rows[0]}
    value = rows if form == "list of structures" else as_lists
    columns({"objects": OBJECTS[form]}, 1, objects=lambda _: value).to_parquet(tmp_path / "test.parquet")
    dataset = opened(tmp_path)
    ground_truth = dataset.target("test__000000")
    assert [c.name for c in dataset.classes] == NAMES
    assert ground_truth.instances.class_ids.tolist() == [1, 2]
    expected = np.zeros(SIZE, int)
    expected[1:3, 1:4], expected[2:6, 5:8] = 1, 2
    assert ground_truth.semantic.labels.tolist() == expected.tolist()


def test_an_export_reads_back_as_the_ground_truth_and_as_its_own_library_reads_it(tmp_path):
    source = scenes()
    exported = export(source, tmp_path / "x")
    dataset = reopened(exported)
    theirs = {
        split: hf.Dataset.from_parquet(
            str(tmp_path / "x" / f"{split}-00000-of-00001.parquet"), cache_dir=str(tmp_path / "c")
        )
        for split in source.splits()
    }
    assert theirs["train"].features["objects"].feature["category"].names == [c.name for c in source.classes]
    for split in source.splits():
        for number, image_id in enumerate(source.ids(split)):
            ground_truth = source.target(image_id)
            assert labels(dataset.target(exported.ids[image_id])) == labels(ground_truth)
            row = theirs[split][number]
            assert np.asarray(row["image"]).tolist() == source.image(image_id).tolist()
            assert np.asarray(row["mask"]).tolist() == labels(ground_truth)
    by_objects = opened(tmp_path / "x", objects="objects", background=None)
    for image_id in all_ids(source)[:6]:
        found, ground_truth = by_objects.target(exported.ids[image_id]).instances, source.target(image_id).instances
        assert {(c, m, p) for c, _, m, p in objects(found)} == {(c, m, p) for c, _, m, p in objects(ground_truth)}


def test_masks_without_names_are_refused_with_what_they_hold_and_id2label_names_them(tmp_path):
    columns({"mask": hf.Image()}, mask=lambda n: Image.fromarray(mask(n))).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(DatasetError, match=r"hold 0, 1, 2\..*classes: \{background: 0, class 1: 1, class 2: 2\}"):
        opened(tmp_path)
    (tmp_path / "id2label.json").write_text(json.dumps({"0": "bg", "1": "cell", "2": "rod"}))
    assert [c.name for c in opened(tmp_path).classes] == ["bg", "cell", "rod"]
    void = opened(tmp_path, classes={"bg": 0, "cell": 1}, void=2)
    assert void.target("train__000000").semantic.labels[4, 5] == 255
    with pytest.raises(DatasetError, match=r"labels outside the table: 2 \(1 pixels\)"):
        opened(tmp_path, classes={"bg": 0, "cell": 1}).target("train__000000")


def test_columns_that_are_not_clear_are_listed(tmp_path):
    features = {"left": hf.Image(), "right": hf.Image()}
    table = columns(features, left=lambda n: Image.fromarray(mask(n)), right=lambda n: Image.fromarray(mask(n)))
    table.to_parquet(tmp_path / "train.parquet")
    with pytest.raises(
        DatasetError, match=r"which column is the mask.*image \(Image\), left \(Image\), right \(Image\)"
    ):
        opened(tmp_path, classes=NAMES)
    with pytest.raises(DatasetError, match=r"no column 'lef'\. Did you mean 'left'"):
        opened(tmp_path, classes=NAMES, mask="lef")
    assert opened(tmp_path, classes=NAMES, mask="left").target("train__000001").semantic.labels.max() == 2


def test_images_beside_the_table_are_found_by_their_paths_and_missing_ones_are_named(tmp_path):
    (tmp_path / "pictures").mkdir()
    Image.fromarray(picture(3)).save(tmp_path / "pictures" / "a.png")
    schema = {"image": hf.Image(), "mask": hf.Image()}
    paths = {"image": [{"bytes": None, "path": "pictures/a.png"}], "mask": [Image.fromarray(mask(3))]}
    table = hf.Dataset.from_dict(paths, features=hf.Features(schema))
    import pyarrow.parquet

    pyarrow.parquet.write_table(table.data.table, tmp_path / "train.parquet")
    dataset = opened(tmp_path, classes=NAMES)
    assert dataset.image("train__000000").tolist() == picture(3).tolist()
    shutil.rmtree(tmp_path / "pictures")
    with pytest.raises(DatasetError, match=r"names pictures/a\.png, which is not there"):
        dataset.image("train__000000")


def test_parquet_of_others_and_damaged_files_are_refused(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "train.parquet")
    with pytest.raises(DatasetError, match="does not say what its columns are"):
        opened(tmp_path)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(DatasetError, match=r"train\.parquet cannot be read"):
        opened(tmp_path)
