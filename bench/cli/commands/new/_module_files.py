"""The files of a new metric, data set and logger; NAME stands for its name."""

METRIC = '''\
"""NAME: a metric of your own.

What it measures:
    How well the class is found that is found worst.

Definition:
    Counts are pooled over all images, void pixels of the target left out. The lowest intersection over union of a
    class that is true or predicted somewhere.

When undefined:
    Where every pixel of every target is void.

Differs from:
    mean_iou, which is the mean over these classes.

Source:
    Yours.
"""

import numpy as np

from bench.metrics import ConfusionMetric, Formula, ratio


def class_iou(totals):  # totals.true_positives, .target, .predicted: pixels by class, shape (..., K)
    return ratio(totals.true_positives, totals.union)


def lowest(totals):
    values = class_iou(totals)
    least = np.where(np.isnan(values), np.inf, values).min(axis=-1)
    return np.where(np.isinf(least), np.nan, least)


METRIC = ConfusionMetric(
    name="NAME",
    version=1,  # raise it whenever a change of yours changes a number
    label="NAME",
    definition="lowest IoU of a class that is true or predicted, counts pooled over images, void left out",
    formula=Formula(headline=lowest, undefined_because="every pixel of every target is void", per_class=class_iou),
)
'''

METRIC_TEST = '''\
"""Known answers of NAME. Run with: pytest test_NAME.py"""

from pathlib import Path

import numpy as np
import pytest

from bench.metric import load_metric
from bench.records import ClassSpec
from bench.records.predictions import SemanticMap

CLASSES = tuple(ClassSpec(name=name, colour=(n, n, n)) for n, name in enumerate(("background", "cat", "dog")))
VOID = 255


@pytest.fixture
def metric(monkeypatch):
    monkeypatch.setenv("BENCH_METRICS", str(Path(__file__).resolve().parent))
    return load_metric("NAME")


def scored(metric, *pairs):
    maps = [[SemanticMap(np.array(rows, dtype=np.uint8)) for rows in pair] for pair in pairs]
    return metric.score(np.stack([metric.observe(*pair, CLASSES) for pair in maps]), CLASSES, seed=0)


def test_the_class_that_is_found_worst_decides(metric):
    # background: 2 of 2; cat: 1 pixel of both, 2 of either
    assert scored(metric, ([[0, 0, 1, 1]], [[0, 0, 1, 2]])).value == 0.0  # dog is predicted and never true
    assert scored(metric, ([[0, 0, 1, 1]], [[0, 0, 1, 0]])).value == pytest.approx(1 / 2)


def test_counts_are_pooled_over_images(metric):
    # cat: 1 of 2 pixels and 3 of 4, together 4 of 6
    two = scored(metric, ([[1, 1, 0, 0]], [[1, 0, 0, 0]]), ([[1, 1, 1, 1]], [[1, 1, 1, 0]]))
    # background: 2 of 3 and 0 of 1, together 2 of 4
    assert two.value == pytest.approx(2 / 4)


def test_void_pixels_count_for_nothing(metric):
    assert scored(metric, ([[0, 1, VOID, VOID]], [[0, 1, 0, 2]])).value == 1.0
    assert scored(metric, ([[VOID]], [[0]])).value is None
'''

DATASET = '''\
"""NAME: a data set of your own.

    root/<split>/images/a.png     any sizes
    root/<split>/masks/a.png      class ids as grey values; 255 is void

Splits: the folders below root.
"""

from bench.data.formats.image_files import read_mask
from bench.data.formats.label_tables import map_values, named_classes
from bench.data.formats.on_disk import Description, Entry, OnDisk, require_files, require_folder, root_of
from bench.dataset import GroundTruth
from bench.records import Record
from bench.records.predictions import SemanticMap

SOURCE = "where it comes from"
LICENCE = "its terms"
TASKS = ("semantic",)
OBTAIN = "How to get it."
NAMES = ["background", "cat"]


class Options(Record):
    """What a suite may set."""

    root: str = "data/NAME"


def open_dataset(options):
    root = root_of(options.root)
    require_folder("NAME", root, "a folder for each split, with images and masks", OBTAIN)
    splits = sorted(folder.name for folder in root.iterdir() if (folder / "images").is_dir())

    def entries(split):
        images = sorted((root / split / "images").iterdir())
        found = [Entry(f"{split}_{i.stem}", i, (root / split / "masks" / f"{i.stem}.png",)) for i in images]
        return require_files("NAME", found, "a mask", OBTAIN)

    classes = classes_without_files(options)
    return OnDisk(Description("NAME", classes, TASKS, SOURCE, LICENCE, tuple(splits)), entries, ground_truth)


def classes_without_files(options):
    return named_classes(NAMES, things=["cat"])


def ground_truth(entry):
    file = entry.ground_truths[0]
    known = f"It has {', '.join(f'{number} ({name})' for number, name in enumerate(NAMES))} and 255 (void)."
    values = {**{number: number for number in range(len(NAMES))}, 255: 255}
    return GroundTruth(SemanticMap(map_values(read_mask(file).pixels, values, file=file, known=known)))
'''

DATASET_TEST = '''\
"""What is written is what is read. Run with: pytest test_NAME.py"""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.data.formats.by_name import open_dataset
from bench.errors import DatasetError


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATASETS", str(Path(__file__).resolve().parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for split in ("train", "test"):
        for kind, pixels in (("images", np.full((4, 6, 3), 7)), ("masks", np.array([[0, 1, 255]]))):
            folder = tmp_path / "data" / split / kind
            folder.mkdir(parents=True)
            cv2.imwrite(str(folder / "a.png"), pixels.astype(np.uint8))
    cv2.imwrite(str(tmp_path / "data/test/images/a.png"), np.full((1, 3, 3), 9, dtype=np.uint8))
    return tmp_path / "data"


def test_images_and_ground_truth_come_back_by_split(root):
    data = open_dataset("NAME", {"root": str(root)})
    assert set(data.splits()) == {"train", "test"}
    (name,) = data.ids("test")
    assert data.image(name).tolist() == [[[9, 9, 9]] * 3]
    assert data.target(name).semantic.labels.tolist() == [[0, 1, 255]]


def test_a_change_of_a_mask_is_another_data_set(root):
    before = open_dataset("NAME", {"root": str(root)}).fingerprint("test")
    cv2.imwrite(str(root / "test/masks/a.png"), np.array([[1, 1, 0]], dtype=np.uint8))
    assert open_dataset("NAME", {"root": str(root)}).fingerprint("test") != before


def test_a_missing_mask_and_an_unknown_value_are_told(root):
    cv2.imwrite(str(root / "test/masks/a.png"), np.array([[0, 1, 9]], dtype=np.uint8))
    data = open_dataset("NAME", {"root": str(root)})
    with pytest.raises(DatasetError, match="9"):
        data.target(data.ids("test")[0])
    (root / "test/masks/a.png").unlink()
    with pytest.raises(DatasetError, match="mask"):
        open_dataset("NAME", {"root": str(root)}).ids("test")
'''

LOGGER = '''\
"""NAME: a line of JSON for each scored case, in cases.jsonl."""

import json
import shlex


class Logger:
    version = 1  # raise it whenever what is written changes: older entries are then written anew
    packages = {}  # package on the index -> module that shows that it is installed
    environment = {}  # variables of the process that writes

    def opened_with(self, folder):
        return f"cat {shlex.quote(str(folder / 'cases.jsonl'))}"

    def write(self, case, folder):  # case: see LoggedCase in bench/logger.py
        file = folder / "cases.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        others = [line for line in lines if json.loads(line)["case"] != case.case_id]
        own = {"case": case.case_id, "model": case.model, **case.finals}
        file.write_text("\\n".join([*others, json.dumps(own)]) + "\\n", encoding="utf-8")
'''

LOGGER_TEST = '''\
"""What NAME writes. Run with: pytest test_NAME.py"""

import json
from pathlib import Path

import pytest

from bench.logger import LoggedCase, load_logger


@pytest.fixture
def logger(monkeypatch):
    monkeypatch.setenv("BENCH_LOGGERS", str(Path(__file__).resolve().parent))
    return load_logger("NAME")


def case(name, score):
    return LoggedCase("suite", "run", name, "model", name, 0.0, {}, (), {"score/mean_iou": score}, ())


def test_each_case_has_a_line_and_a_second_writing_takes_the_place_of_the_first(logger, tmp_path):
    for one in (case("a", 0.25), case("b", 0.5), case("a", 0.75)):
        logger.write(one, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "cases.jsonl").read_text().splitlines()]
    assert {line["case"]: line["score/mean_iou"] for line in lines} == {"a": 0.75, "b": 0.5}


def test_it_says_how_to_look_at_what_it_wrote(logger, tmp_path):
    assert str(tmp_path / "cases.jsonl") in logger.opened_with(tmp_path)
'''

FILES = {"metric": (METRIC, METRIC_TEST), "dataset": (DATASET, DATASET_TEST), "logger": (LOGGER, LOGGER_TEST)}
"""Kind -> the module and its test."""
