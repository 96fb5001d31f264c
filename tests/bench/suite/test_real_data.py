"""The suites over real data: what `bench check` says without the data, and with a miniature in their place."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from bench.cli.main import main
from bench.data.labels.mapping import ClassTable, map_ground_truth
from bench.data.labels.spaces import label_space
from bench.datasets import ade20k, carvana, cityscapes, coco, voc
from bench.records.names import harness_root
from bench.records.png import write_png
from tests.bench.datasets.comparison import all_ids, scenes

SUITES = harness_root() / "suites"
ELSEWHERE = "If it lies elsewhere, set the data set's option root."
OWN = "Put your images and masks there."
OWN_EXPECTED = "the folders images/ and masks/ with one mask for each image"

MISSING = {
    "cityscapes": (
        "data sets 'cityscapes' and 'cityscapes categories': cityscapes: nothing at {data}/cityscapes/leftImg8bit. "
        f"Expected: leftImg8bit/<split>/<city>/*.png. {cityscapes.OBTAIN}",
        # 7 trained and 4 published models at two sizes, the published ones for the categories too
        "11 models, 5 metrics, 30 cases",
    ),
    "carvana": (
        "data set 'carvana': carvana: nothing at {data}/carvana/train. Expected: the folders train and train_masks. "
        f"{carvana.OBTAIN}",
        "8 models, 4 metrics, 8 cases",
    ),
    "voc": (
        "data set 'voc': voc: nothing at {data}/voc/VOCdevkit/VOC2012/JPEGImages. Expected: JPEGImages, "
        f"SegmentationClass and ImageSets/Segmentation. {voc.OBTAIN}",
        "11 models, 5 metrics, 11 cases",
    ),
    "ade20k": (
        "data set 'ade20k': ade20k: nothing at {data}/ade20k/ADEChallengeData2016/images. Expected: images and "
        f"annotations. {ade20k.OBTAIN}",
        "7 models, 5 metrics, 7 cases",
    ),
    "coco_instance": (
        "data set 'coco': coco: nothing at {data}/coco/annotations/instances_train2017.json. Expected: annotations for "
        f"a split of train, val, test. {coco.OBTAIN}",
        "6 models, 3 metrics, 6 cases",
    ),
    "coco_panoptic": (
        "data set 'coco': coco: nothing at {data}/coco/annotations/panoptic_train2017.json. Expected: annotations for "
        f"a split of train, val, test. {coco.OBTAIN}",
        "5 models, 6 metrics, 5 cases",
    ),
    "human": (
        f"data set 'human': folder: nothing at {{data}}/human/images. Expected: {OWN_EXPECTED}. {OWN}",
        "9 models, 4 metrics, 9 cases",
    ),
    "my_folder": (
        f"data set 'mine': folder: nothing at {{data}}/mine/images. Expected: {OWN_EXPECTED}. {OWN}",
        "2 models, 4 metrics, 2 cases",
    ),
}
"""Suite -> what its one paragraph says of the data, and what else was checked."""

ROOTS = {
    "cityscapes": "cityscapes",
    "carvana": "carvana",
    "voc": "voc/VOCdevkit/VOC2012",
    "ade20k": "ade20k/ADEChallengeData2016",
    "coco_instance": "coco",
    "coco_panoptic": "coco",
    "human": "human",
    "my_folder": "mine",
}
"""Suite -> where below data/ it looks."""

COCO_NAMES = (
    "sky-other-merged", "dirt-merged", "sea", "sports ball", "book", "kite", "donut", "scissors", "bottle", "stop sign",
)  # fmt: skip
"""What sky, ground, water, disc, … of the drawn scenes are called among COCO's 133 classes."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def copied(tmp_path: Path, name: str, change=None) -> Path:
    """A copy of a suite beside an empty place for its data; `change` alters the document."""
    path = tmp_path / "suites" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(SUITES / f"{name}.yaml", path)
    if change is not None:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def checked(capsys, suite: Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `bench check`."""
    code = main(["check", str(suite)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


class InCocoClasses:
    """Drawn scenes whose classes are ten of COCO's 133."""

    def __init__(self, drawn) -> None:
        self._drawn = drawn
        self.classes = label_space("coco_panoptic").classes
        names = [spec.name for spec in self.classes]
        self._table = ClassTable(tuple(names.index(name) for name in COCO_NAMES), self.classes)

    def __getattr__(self, name):
        return getattr(self._drawn, name)

    def target(self, image_id):
        return map_ground_truth(self._drawn.target(image_id), self._table)


def write_people(drawn, folder: Path) -> None:
    """Images, and masks of 0 and 255, as sets of people come."""
    for image_id in all_ids(drawn):
        ground_truth = drawn.target(image_id)
        image = folder / "images" / f"{image_id}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(image), drawn.image(image_id)[..., ::-1])
        mask = np.where(ground_truth.instances.masks.any(axis=0), 255, 0).astype(np.uint8)
        (folder / "masks").mkdir(exist_ok=True)
        write_png(folder / "masks" / f"{image_id}.png", mask)


def put_miniature(name: str, data: Path) -> None:
    """Write a small data set where the suite looks for the real one."""
    drawn, folder = scenes(train=6, val=3, test=3), data / ROOTS[name]
    if name == "human":
        write_people(drawn, folder)
        return
    form = {"coco_instance": "coco", "coco_panoptic": "coco", "my_folder": "folder"}.get(name, name)
    source = InCocoClasses(drawn) if form == "coco" else drawn
    folder.parent.mkdir(parents=True, exist_ok=True)
    importlib.import_module(f"bench.data.exports.{form}").export(source, folder)


SPLITS = {
    "cityscapes": [("cityscapes", "train, val"), ("cityscapes categories", "val")],
    "carvana": [("carvana", "train, val, test")],
    "voc": [("voc", "train, val")],
    "ade20k": [("ade20k", "train, val")],
    "coco_instance": [("coco", "val")],
    "coco_panoptic": [("coco", "val")],
    "human": [("human", "train, val, test")],
    "my_folder": [("mine", "train, val, test")],
}
"""Suite -> its data sets and the splits it reads: COCO's published models are not trained, so only val is."""


NOT_HONOURED = {
    "loss": "the framework's own losses are used",
    "augmentation": "Ultralytics' trainer does not offer it",
}
UNLIKE_RECIPES = {
    "cityscapes": [("ultralytics/yolo26n_sem", "augmentation")],
    "carvana": [("ultralytics/yolo26n_sem", "loss")],
    "voc": [("ultralytics/yolo11s_seg", "augmentation")],
    "human": [("ultralytics/yolo26n_sem", "augmentation"), ("ultralytics/yolo26n_sem", "loss")],
}
"""Suite -> models whose trainer has its own way with a field of the recipe."""


OF_ONE_GROUP = {"carvana": {"train": 3, "val": 3, "test": 6}}
"""Suite -> splits whose images are all of one car, and their numbers."""


def notes(name: str, suite: Path, data: Path) -> list[str]:
    """What is said of a miniature: what masks without a class file hold, and that it was never read completely."""
    found = []
    if name == "human":
        masks = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (data / "human" / "masks").iterdir()]
        people = 100 * np.mean([(mask == 255).mean() for mask in masks])  # all are of one size
        found.append(
            f"human: classes inferred from 12 masks, no class file: 0 in 12 of 12 masks ({100 - people:.1f} % of the "
            f"pixels), 255 in 12 of 12 masks ({people:.1f} % of the pixels)"
        )
    unlike = [
        f"{model}: recipe: {field!r} is not honoured: {NOT_HONOURED[field]}"
        for model, field in UNLIKE_RECIPES.get(name, [])
    ]
    found += [
        f"{name}: the {images} images of {split} are of 1 group (patient, scene or film)"
        for split, images in OF_ONE_GROUP.get(name, {}).items()
    ]
    found += [
        f"{label}: {splits} never checked completely, only by a sample of at most 12 images each. "
        f"Do it once before anything is trained: bench data check --suite {suite}"
        for label, splits in SPLITS[name]
    ]
    return found + unlike


@pytest.mark.parametrize("name", MISSING)
def test_without_the_data_one_paragraph_says_what_is_missing_where_and_how_to_get_it(name, tmp_path, capsys):
    suite = copied(tmp_path, name)
    about, counted = MISSING[name]
    code, out, err = checked(capsys, suite)
    assert (code, out) == (2, "")
    assert err == (
        f"bench check: {suite}: {about.format(data=tmp_path / 'data')} {ELSEWHERE}\n"
        "\n"
        f"Everything else in {suite} is valid, as far as can be checked without these files: {counted}.\n"
    )


@pytest.mark.few(3)
@pytest.mark.parametrize("name", MISSING)
def test_with_a_miniature_in_place_of_the_data_the_suite_is_valid(name, tmp_path, capsys):
    suite = copied(tmp_path, name)
    put_miniature(name, tmp_path / "data")
    code, out, err = checked(capsys, suite)
    assert code == 0, err
    assert err.splitlines() == [f"note: {note}" for note in notes(name, suite, tmp_path / "data")]
    cases = MISSING[name][1].split(", ")[-1]
    assert out.splitlines()[-1].startswith(f"{suite} is valid: {cases}, ")


def test_the_suites_over_real_data_are_all_tested():
    names = {path.stem for path in SUITES.glob("*.yaml") if "../data/" in path.read_text(encoding="utf-8")}
    # The suite real fetches its data inside packages: tests/test_real_networks.py. The suite medical is a pattern for
    # volumes of one's own, of which tests/bench/datasets has some.
    assert names - {"real", "medical"} == set(MISSING) == set(ROOTS)


# ------------------------------------------------------------------ all that is wrong, in one go


def test_classes_are_compared_by_name_although_the_data_are_missing(tmp_path, capsys):
    def add_a_model_of_ade20k(suite):
        suite["models"].append("transformers/segformer_b0_ade20k")

    suite = copied(tmp_path, "cityscapes", add_a_model_of_ade20k)
    code, _, err = checked(capsys, suite)
    paragraphs = err.removeprefix("bench check: ").rstrip("\n").split("\n\n")
    assert code == 2
    assert len(paragraphs) == 3
    of_classes, of_categories, of_data = paragraphs
    assert of_classes.startswith(
        f"{suite}: data set 'cityscapes': transformers/segformer_b0_ade20k was trained on ade20k, 150 classes, and is "
        "to be scored on 19: the suite's "
    )
    assert of_categories.startswith(f"{suite}: data set 'cityscapes categories': transformers/segformer_b0_ade20k was ")
    assert of_data.startswith(f"{suite}: data sets 'cityscapes' and 'cityscapes categories': cityscapes: nothing at ")


def test_labels_that_do_not_fit_are_told_although_the_data_are_missing(tmp_path, capsys):
    def misspell(suite):
        suite["datasets"][1]["labels"]["merge"]["sky"] = ["skye"]

    suite = copied(tmp_path, "cityscapes", misspell)
    code, _, err = checked(capsys, suite)
    assert code == 2
    assert (
        f"{suite}: data set 'cityscapes categories': labels.merge.sky: the data set has no class 'skye'. "
        "Did you mean 'sky'?"
    ) in err
    assert "cityscapes: nothing at" in err


def test_wrong_models_wrong_weights_and_missing_data_are_told_together(tmp_path, capsys):
    def spoil(suite):
        suite["models"] = [{"name": "unet/classic", "weights": "gone.pt"}, *suite["models"][1:]]
        suite["datasets"].append({"name": "voc", "options": {"root": "../data/gone"}, "test": "val"})

    suite = copied(tmp_path, "carvana", spoil)
    code, _, err = checked(capsys, suite)
    assert code == 2
    weights, cars, objects = err.removeprefix("bench check: ").rstrip("\n").split("\n\n")
    expected = f"{suite}: unet/classic: there are no weights at {tmp_path / 'suites' / 'gone.pt'}; "
    assert weights == f"{expected}correct 'weights' in the suite"
    assert cars.startswith(f"{suite}: data set 'carvana': carvana: nothing at ")
    assert objects.startswith(f"{suite}: data set 'voc': voc: nothing at {tmp_path / 'data' / 'gone' / 'JPEGImages'}.")


def test_every_model_that_does_not_exist_is_named_beside_the_missing_data(tmp_path, capsys):
    def misspell(suite):
        suite["models"] = ["unet/clasic", "smp/unet_resnet34", "deeplab/resnet5"]

    suite = copied(tmp_path, "carvana", misspell)
    code, _, err = checked(capsys, suite)
    assert code == 2
    first, second, data = err.removeprefix("bench check: ").rstrip("\n").split("\n\n")
    where, what = first.split(": no model named ")
    assert re.fullmatch(re.escape(f"{suite}: models[0]") + r" \(line \d+\)", where)
    assert what.startswith("'unet/clasic'. Did you mean 'unet/classic'?")
    assert ": models[2] (line " in second
    assert "no model named 'deeplab/resnet5'. Did you mean 'deeplab/resnet50'?" in second
    assert data.startswith(f"{suite}: data set 'carvana': carvana: nothing at ")


def test_where_nothing_is_trained_the_scored_split_is_enough(tmp_path, capsys):
    suite = copied(tmp_path, "coco_instance")
    put_miniature("coco_instance", tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "coco" / "train2017")
    for path in (tmp_path / "data" / "coco" / "annotations").glob("*_train2017.json"):
        path.unlink()
    assert checked(capsys, suite)[0] == 0
    suite = copied(tmp_path, "coco_instance", lambda s: s["models"].append("ultralytics/yolo11n_seg"))
    code, _, err = checked(capsys, suite)
    assert (code, err) == (2, f"bench check: {suite}: data set 'coco': has no split 'train'; it has val, test.\n")


def test_classes_known_without_files_are_those_of_the_files(tmp_path):
    for name in ("cityscapes", "carvana", "voc", "ade20k", "coco_instance", "coco_panoptic"):
        put_miniature(name, tmp_path / name)
        entry = yaml.safe_load((SUITES / f"{name}.yaml").read_text(encoding="utf-8"))["datasets"][0]
        module = importlib.import_module(f"bench.datasets.{entry['name']}")
        options = module.Options.model_validate({**entry["options"], "root": str(tmp_path / name / ROOTS[name])})
        known, read = module.classes_without_files(options), module.open_dataset(options).classes
        assert [(c.name, c.is_thing) for c in known] == [(c.name, c.is_thing) for c in read]


def test_a_data_set_without_ground_truths_of_the_suites_form_is_told_before_anything_is_trained(tmp_path, capsys):
    suite = copied(tmp_path, "carvana", lambda document: document.update(task="panoptic", models=["unet/components"]))
    put_miniature("carvana", tmp_path / "data")
    code, _, err = checked(capsys, suite)
    assert (code, err) == (
        2,
        f"bench check: {suite}: data set 'carvana': its ground truth is semantic; task: panoptic is scored "
        "against panoptic "
        "ground truth. Change 'task' or the data set; one of objects alone becomes semantic by its option "
        "background.\n",
    )


# ------------------------------------------------------------------ the user's own folder


def commands_of_the_readme() -> list[list[str]]:
    """The words of each `bench` command of the section on one's own folder."""
    text = (harness_root() / "README.md").read_text(encoding="utf-8")
    block = text.split("## Your own data in three commands\n\n```sh\n")[1].split("```")[0]
    lines = [line.split("#")[0].split() for line in block.splitlines()]
    return [words[1:] for words in lines if words[0] == "bench"]


def test_the_readmes_commands_take_coloured_masks_without_a_file_of_classes(tmp_path, capsys):
    look, run = commands_of_the_readme()
    copied(tmp_path, "my_folder")
    put_miniature("my_folder", tmp_path / "data")
    mine = tmp_path / "data" / "mine"
    for mask in mine.glob("masks/*/*.png"):  # as strangers have them: colours, no classes.yaml, no folders of splits
        with Image.open(mask) as stored:
            stored.convert("RGB").save(mine / "masks" / mask.name)
    for image in mine.glob("images/*/*.png"):
        image.rename(mine / "images" / image.name)
    for path in (*mine.glob("*/*/"), mine / "classes.yaml"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert main(look) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("classes inferred from 12 masks, no class file: ")
    assert told[-4:-2] == [
        "note: classes that a split has no image of: 1",
        "  val: no image has rgb 235,180,52; other splits do",
    ]
    assert told[-1] == "folder: nothing wrong in 12 images (train 8, val 2, test 2); 1 note"
    assert run == ["run", "suites/my_folder.yaml"]
    code, out, _ = checked(capsys, tmp_path / run[1])
    assert code == 0
    assert out.splitlines()[-1].endswith("is valid: 2 cases, 6 jobs (6 missing); no run in results/ yet")
