"""Known formats by the files that they have; what is proposed here is opened before it is shown."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from bench.data._guess import HEAD, MOST_JSON, Guess, Listing, document_of
from bench.data._guess_folder import SPLIT_WORDS, best_patterns, mask_options
from bench.data._guess_volumes import reading_options, volume_options
from bench.data.formats.documents import read_text
from bench.data.formats.image_files import IMAGE_SUFFIXES
from bench.data.formats.yolo_yaml import read_data_yaml
from bench.datasets.label_studio import is_export
from bench.datasets.voc import signs_in
from bench.errors import DatasetError
from bench.records.damage import head_of


def guesses(listing: Listing) -> Iterator[Guess]:
    """Yield the known formats that a folder may have, the likeliest first."""
    for propose in (_by_folders, _nnunet, _huggingface, _coco, _json_beside_images, _yolo, _yolo_without_yaml):
        yield from propose(listing)


def generic_guesses(listing: Listing) -> Iterator[Guess]:
    """Yield folders of any volumes, or of any images and masks."""
    yield from _volumes(listing)
    yield from _patterns(listing)


SIGNATURES: tuple[tuple[str, dict[str, JsonValue], tuple[str, ...]], ...] = (
    ("cityscapes", {}, (r"leftImg8bit/", r"gtFine/")),
    ("ade20k", {}, (r"images/(training|validation)/", r"annotations/(training|validation)/.*\.png$")),
    ("pets", {}, (r"annotations/trimaps/", r"annotations/trainval\.txt$", r"images/")),
    ("camvid", {}, (r"701_StillsRaw_full/", r"LabeledApproved_full/")),
    ("camvid", {"variant": "segnet"}, (r"trainannot/", r"train/")),
    ("carvana", {}, (r"train/[0-9a-f]{12}_\d\d\.jpg$", r"train_masks/")),
    ("supervisely", {}, (r"meta\.json$", r".*/ann/.*\.json$")),
    ("voc", {}, (r"JPEGImages/", r"SegmentationClass/", r"ImageSets/Segmentation/")),
    ("open_images", {}, (r"\w+-annotations-object-segmentation\.csv$", r"class-descriptions-boxable\.csv$")),
    ("cvat", {}, (r"annotations\.xml$",)),
    ("detectron2", {}, (r"metadata\.json$", r"(train|val|test)\.json$")),
)


def _by_folders(listing: Listing) -> Iterator[Guess]:
    for name, options, signs in SIGNATURES:
        if all(listing.has(sign) for sign in signs):
            yield Guess(name, options, (f"it has {' and '.join(_readable(sign) for sign in signs)}",))
            if name == "voc":
                yield from _own_classes(listing)
    for table, program in (("class_names.txt", "labelme2voc"), ("labelmap.txt", "CVAT")):
        if all(listing.has(sign) for sign in ("SegmentationClass/", "JPEGImages/", f"{re.escape(table)}$")):
            told = f"it has JPEGImages, SegmentationClass and a {table}, as {program} writes them"
            if program == "CVAT" and listing.has("ImageSets/Segmentation/"):
                told += "; its lists of splits are not used, images are dealt out by fractions"
            options = {"images": "JPEGImages/{id}.*", "masks": "SegmentationClass/{id}.png", "classes": table}
            yield Guess("folder", {**options}, (told,), certain=program == "labelme2voc")


def _own_classes(listing: Listing) -> Iterator[Guess]:
    """Yield a project in VOC's layout whose indices are those of other classes."""
    signs = signs_in(listing.root)
    if signs.reason and len(signs.classes) > 1:
        names = "; names such as class 1 stand for yours, in the order of the indices in the masks"
        yield Guess(
            "voc",
            {"classes": list(signs.classes)},
            (f"it has VOC's layout, but most likely not VOC's classes: {signs.reason}{names}",),
            certain=False,
        )


def _nnunet(listing: Listing) -> Iterator[Guess]:
    if not all(listing.has(sign) for sign in (r"dataset\.json$", r"imagesTr/", r"labelsTr/")):
        return
    reasons = ["it has dataset.json, imagesTr and labelsTr, as nnU-Net's raw data sets"]
    labels = sorted(path for path in listing.paths if path.startswith("labelsTr/"))
    images = {path for path in listing.paths if path.startswith("imagesTr/")}
    pairs = []
    for label in labels:
        stem = label.removeprefix("labelsTr/").split(".")[0]
        image = next((path for path in sorted(images) if path.startswith(f"imagesTr/{stem}")), None)
        pairs += [(listing.root / image, listing.root / label)] if image is not None else []
    options: dict[str, JsonValue] = {}
    try:
        options, further = reading_options(pairs, classes=False) if pairs else ({}, ())
        reasons += further
    except DatasetError:
        pass  # opening it tells
    yield Guess("nnunet", options, tuple(reasons))


def _huggingface(listing: Listing) -> Iterator[Guess]:
    if listing.has(r"(.*/)?dataset_dict\.json$") or listing.has(r"state\.json$"):
        reason = "it has a state of its table, as save_to_disk of Hugging Face datasets writes it"
    elif listing.has(r".*\.parquet$"):
        reason = "it has parquet files, as Hugging Face data sets"
    else:
        return
    yield Guess("huggingface", {}, (reason,))
    yield Guess("huggingface", {"void": 255}, (reason, "255 has no name; it is taken as not scored"), certain=False)


def _volumes(listing: Listing) -> Iterator[Guess]:
    for options, reasons in volume_options(listing.root):
        yield Guess("volumes", options, reasons, certain=False)


def _readable(sign: str) -> str:
    return re.sub(r"\\d\\d|\[0-9a-f\]\{12\}", "…", sign.replace(".*", "…").replace("\\", "").rstrip("$"))


def _coco(listing: Listing) -> Iterator[Guess]:
    files = [path for path in listing.paths if path.lower().endswith(".json")]
    if len(files) > MOST_JSON:
        files = [path for path in files if re.search(r"(?i)coco|instances|panoptic|annotation", path)][:MOST_JSON]
    found = [path for path in files if _is_coco(listing.root / path)]
    stuff = [path for path in found if "panoptic" in PurePosixPath(path).name]
    if any("instances_" in path for path in found) and stuff and listing.has("annotations/instances_.*2017"):
        found = [path for path in found if path not in stuff]
    if any(re.match(r"annotations/(instances|panoptic|stuff)_\w+2017\.json", path) for path in found):
        for ground_truth in ("instances", "panoptic", "stuff"):
            if any(path.startswith(f"annotations/{ground_truth}_") for path in found):
                yield Guess(
                    "coco", {"truth": ground_truth}, (f"it has annotations/{ground_truth}_…2017.json as COCO has it",)
                )
        return
    if found:
        yield from _own_coco(listing, found)


def _own_coco(listing: Listing, found: Sequence[str]) -> Iterator[Guess]:
    """Yield a project in COCO's form: where its JSON files and images lie, by split."""
    # One that is damaged is opened as well, and then told.
    placed = {path: _split_as_place(path) for path in listing.paths if path.lower().endswith(".json")}
    patterns = {placed[path][0] for path in found}
    others = [path for path, (pattern, _) in placed.items() if path not in found and pattern in patterns]
    opened = [*found, *(path for path in others if document_of(listing.root / path) is None)]
    pattern = Counter(placed[path][0] for path in opened).most_common(1)[0][0]
    members = [path for path in opened if placed[path][0] == pattern]
    splits = [placed[path][1] or PurePosixPath(path).stem for path in members]
    if "{split}" not in pattern:
        members, splits = members[:1], ["all"]
    folder = image_folder(listing, members[0], splits[0])
    if folder is None:
        return
    images = folder.replace(splits[0], "{split}") if "{split}" in pattern and len(splits) > 1 else folder
    options: dict[str, JsonValue] = {"annotations": pattern, "images": images or ".", "splits": list(splits)}
    reasons = [f"{len(members)} JSON files have images, annotations and categories: {', '.join(members[:4])}"]
    left = [path for path in found if path not in members]
    if left:
        reasons.append(f"not used: {', '.join(left[:4])}")
    yield Guess("coco", options, tuple(reasons))


def _split_as_place(path: str) -> tuple[str, str]:
    """Return the path with its split as a placeholder, and the split."""
    words = "|".join(sorted((*SPLIT_WORDS, "default"), key=len, reverse=True))
    match = re.search(rf"(?<![a-z])({words})(?![a-z])", path, re.I)
    if match is None:
        return path, ""
    return path.replace(match.group(1), "{split}"), match.group(1)


def _beginning(file: Path) -> str:
    try:
        return head_of(file, HEAD).decode("utf-8", "replace")
    except OSError:
        return ""


def _is_coco(file: Path) -> bool:
    """Return whether a file's beginning, or all of it, has the three keys."""
    try:
        head = head_of(file, HEAD)
        words = (b'"images"', b'"annotations"', b'"categories"')
        if head[:2] not in (b"\xff\xfe", b"\xfe\xff") and not any(word in head for word in words):
            return False
        document = document_of(file)
    except OSError:
        return False
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= set(document)


def image_folder(listing: Listing, annotation: str, split: str) -> str | None:
    """Return the folder, below the root, from which the names in a JSON file lead to images."""
    document = document_of(listing.root / annotation)
    rows = document.get("images") if isinstance(document, dict) else None
    rows = rows if isinstance(rows, list) else []
    names = [str(row.get("file_name", "")).replace("\\", "/") for row in rows if isinstance(row, dict)][:200]
    known, votes = {_composed(path) for path in listing.paths}, Counter[str]()
    folders = {str(parent) for path in listing.paths for parent in PurePosixPath(path).parents}
    for folder in folders:
        base = "" if folder == "." else f"{folder}/"
        votes[folder if folder != "." else ""] += sum(_composed(base + name) in known for name in names)
    best = max(votes.values(), default=0)
    if not best:  # names that lead nowhere, or none: the folder with most pictures, of this split if there is one
        pictures = [path for path in listing.paths if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
        votes = Counter(path.rpartition("/")[0] for path in pictures)
        of_split = {folder: count for folder, count in votes.items() if split in folder.split("/")}
        return max(of_split or votes, key=lambda folder: votes[folder], default=None)
    ties = [folder for folder, count in votes.items() if count == best]
    return min(ties, key=lambda folder: (split not in folder.split("/"), len(folder)))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _json_beside_images(listing: Listing) -> Iterator[Guess]:
    files = [path for path in listing.paths if path.lower().endswith(".json")]
    sample = files[:: max(1, len(files) // 20)][:20]
    documents = [document_of(listing.root / path) for path in sample]
    labelme = sum(isinstance(one, dict) and isinstance(one.get("shapes"), list) for one in documents)
    for path, document in zip(sample, documents, strict=True):
        if "/" not in path and is_export(document):
            yield Guess("label_studio", {"file": path}, (f"{path} is a list of tasks, as Label Studio exports them",))
    if labelme and labelme >= len(documents) / 2:
        yield Guess("labelme", {}, (f"{labelme} of {len(documents)} JSON files looked at have shapes, as LabelMe's",))


def _yolo(listing: Listing) -> Iterator[Guess]:
    for path in listing.paths:
        if re.fullmatch(r"[^/]+\.ya?ml", path) and path not in ("classes.yaml", "classes.yml"):
            try:
                text = read_text(listing.root / path)[:HEAD]
            except DatasetError:
                continue
            if re.search(r"^\s*(names|nc)\s*:", text, re.M) and re.search(r"^\s*(train|val|test)\s*:", text, re.M):
                yield Guess("yolo", {"file": path}, (f"{path} has names and splits, as YOLO's",))
                yield from _dealt_out(listing, path)


def _dealt_out(listing: Listing, path: str) -> Iterator[Guess]:
    """Yield a YAML whose splits name the same images, as one split that is dealt out."""
    try:
        yaml = read_data_yaml(listing.root / path, listing.root)
    except DatasetError:
        return  # opening it tells
    first, *others = yaml.splits
    if any(yaml.shared(split, first) for split in others):
        told = "its splits name the same images, which are dealt out by fractions here"
        yield Guess("yolo", {"file": path, "split_by": "fraction", "pool": [first]}, (told,), certain=False)


YOLO_WITHOUT_YAML = 40
"""Text files that are looked at for rows of YOLO where there is no YAML."""


def _yolo_without_yaml(listing: Listing) -> Iterator[Guess]:
    """Yield a YOLO data set that lacks its YAML; opening it tells where that is expected."""
    stems = {path.rpartition(".")[0] for path in listing.paths if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES}
    files = [path for path in listing.paths if path.lower().endswith(".txt")]
    rows: list[str] = []
    seen = 0
    for path in files[:: max(1, len(files) // YOLO_WITHOUT_YAML)]:
        beside = path.rpartition(".")[0]
        if beside in stems or re.sub(r"(^|.*/)labels(?=/)", r"\1images", beside) in stems:
            seen += 1
            rows += _beginning(listing.root / path).splitlines()[:8]
    numbers = [row.split() for row in rows if row.strip()]
    polygons = [row for row in numbers if len(row) > 6 and row[0].isdecimal()]
    if seen < 2 or len(polygons) < max(2, len(numbers) / 2):
        return
    reason = f"{seen} text files beside images hold rows of YOLO's; it needs a YAML that names its classes and splits"
    yield Guess("yolo", {}, (reason, _yaml_to_write(listing, max(int(row[0]) for row in polygons) + 1)))


def _yaml_to_write(listing: Listing, least: int) -> str:
    """Return a data.yaml to write: names where a file lists them, and the folders of images."""
    lists = [path for path in listing.paths if re.search(r"(^|/)(classes\.txt|.*\.names)$", path)]
    names = [f"class_{number}" for number in range(least)]
    for path in lists[:1]:
        listed = _beginning(listing.root / path).split("\n")
        names = [name.strip() for name in listed if name.strip()] or names
    pictures = [path for path in listing.paths if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
    folders = sorted({path.rpartition("/")[0] for path in pictures})
    of_split = {split: folder for split in ("train", "val", "test") for folder in folders if split in folder.split("/")}
    places = of_split or {"train": folders[0] if folders else "images"}
    lines = [f"{split}: {folder or '.'}" for split, folder in places.items()]
    lines.append(f"names: {json.dumps(names, ensure_ascii=False)}")
    where = listing.root / "data.yaml"
    return "\n    ".join([f"write {where} with these lines, the names in the order of their numbers:", *lines])


CLASS_FILES = r"(.*/)?(_classes\.csv|labelmap\.txt|classes\.ya?ml)$"
"""Files that say what the values of masks mean."""


def _patterns(listing: Listing) -> Iterator[Guess]:
    found = best_patterns(listing.paths, listing.root)
    options: dict[str, JsonValue]
    if found is None:
        found = best_patterns(listing.paths, listing.root, lossy=True)
        if found is None:
            if listing.has("images/") and listing.has("masks/"):  # opening it tells why they do not fit
                yield Guess("folder", {}, ("it has the folders images and masks",), certain=False)
            return
        told = "masks are JPEG, which has no exact values: they are cut at 128 into two classes"
        options, reasons, certain = {"binary": {"threshold": 128}}, [told], False
    else:
        options, reasons, certain = mask_options(found)
    if listing.has(CLASS_FILES) and options.get("masks_hold") == "instances":
        options, reasons = {}, ["a file names the classes, so that values are classes and no numbers of objects"]
    counted = f"{len(found.matches.found)} images have a mask by these patterns, {found.share:.0%} of all pictures"
    base: dict[str, JsonValue] = {"images": found.images, "masks": found.masks, **options}
    if "{split}" in found.images and listing.has(r".*_classes\.csv$"):
        folder = found.images[: found.images.index("{split}") + len("{split}")]
        base["classes"] = f"{folder}/_classes.csv"
        reasons = [*reasons, "the classes are in _classes.csv, as Roboflow writes them"]
    elif listing.has(r"_classes\.csv$"):
        base["classes"] = "_classes.csv"
    elif listing.has(r"labelmap\.txt$"):
        base["classes"] = "labelmap.txt"
    plain = None if options else _two_folders(found.images, found.masks)
    if plain is not None:
        base = {**plain, **{key: value for key, value in base.items() if key not in ("images", "masks")}}
    yield Guess("folder", base, (counted, *reasons), certain and found.share > 0.95)


def _two_folders(images: str, masks: str) -> dict[str, JsonValue] | None:
    """Return options of the plain form for patterns that need no more than that; None for others."""
    of_images = re.fullmatch(r"([^{*]+)/\{id\}\.\*", images)
    of_masks = re.fullmatch(r"([^{*]+)/\{id\}([^{*/]*?)\.[^{/]+", masks)
    if of_images is None or of_masks is None:
        return None
    found = {"images": of_images.group(1), "masks": of_masks.group(1), "mask_suffix": of_masks.group(2)}
    usual = {"images": "images", "masks": "masks", "mask_suffix": ""}
    return {key: value for key, value in found.items() if value != usual[key]}
