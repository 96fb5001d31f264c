"""Proposing patterns for a folder of images and masks from the names of its files."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from pydantic import JsonValue

from bench.data.formats.image_files import IMAGE_SUFFIXES, MASK_SUFFIXES, read_image, read_mask
from bench.data.formats.label_tables import pack_rgb
from bench.data.formats.patterns import ImageWithMasks, Matches, match_paths
from bench.errors import DatasetError

SPLIT_WORDS = ("train", "training", "val", "valid", "validation", "test", "testing", "dev")
IMAGE_WORDS = re.compile(
    r"^(images?|imgs?|jpegimages|inputs?|rgb|photos?|frames|originals?|pictures|x|data|img_dir|image_[23]|"
    r"original[ _-]images?)$",
    re.I,
)
MASK_WORDS = re.compile(
    r"^(masks?|labels?|annotations?|annots?|gts?|ground[ _-]?truths?|segs?|semantics?|ann_dir|"
    r"segmentations?|segmentationclass|labelmaps?|"
    r"targets?|y|mask_images|1st_manual|\w*_?masks?|\w*_labels?|\w*annot)$",
    re.I,
)
MASK_NAME = re.compile(r"(mask|seg|label|lbl|(^|[_.-])gt([_.-]|$)|annot|manual|matte|ground_?truth|_L$)", re.I)
SAMPLED = 400
READ = 24
ENOUGH = 5
"""Images from which on it is said that values look different."""
MOST_CLASSES = 40
MOST_ABOVE = 3
"""Folders of patients, scenes or films lie at most so far above those of images and masks."""
DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class PatternGuess:
    """Patterns, and how well they fit.

    Attributes:
        images, masks: Patterns of the paths of images and of masks.
        matches: Images and masks that the patterns match.
        share: Share of all pictures in the folder that are matched with a partner.
    """

    images: str
    masks: str
    matches: Matches
    share: float


def best_patterns(paths: Sequence[str], root: Path, *, lossy: bool = False) -> PatternGuess | None:
    """Return the patterns that leave fewest pictures without a partner; None if none fits half of them.

    Args:
        paths: Paths below the root.
        lossy: True if JPEG masks count.
    """
    pictures = [path for path in paths if _suffix(path) in (*IMAGE_SUFFIXES, *MASK_SUFFIXES)]
    best: PatternGuess | None = None
    tried: set[tuple[str, str]] = set()
    for images, masks in _candidates(pictures):
        if (images, masks) in tried:
            continue
        tried.add((images, masks))
        matches = match_paths(pictures, root, images, masks, lossy=lossy)
        matched = sum(1 + len(one.masks) for one in matches.found)
        share = matched / max(1, len(pictures))
        if matches.found and (best is None or share > best.share + 1e-9):
            best = PatternGuess(images, masks, matches, share)
    return best if best is not None and best.share >= 0.5 else None


def _candidates(pictures: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield patterns worth trying: folders of images beside folders of masks, then both in one folder."""
    if any(re.search(r"\d\d_GT/SEG/man_seg\d+\.tif$", path) for path in pictures):  # the Cell Tracking Challenge
        yield "{group}/t{id}.tif", "{group}_GT/SEG/man_seg{id}.tif"
    for above in (1, 0, MOST_ABOVE):
        of_folder: dict[str, list[str]] = defaultdict(list)
        for path in pictures:
            of_folder[_abstract(path, above)].append(path)
        yield from _of_folders(of_folder)
    named = [path for path in pictures if MASK_NAME.search(PurePosixPath(path).stem) and _suffix(path) in MASK_SUFFIXES]
    rest = sorted(set(pictures) - set(named))
    if named and rest:  # sub-folders as parts of the names
        yield from _paired(rest, named, "", "")


def _of_folders(of_folder: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield patterns for pictures by their folders, which may have placeholders."""
    for folder in list(of_folder):
        below = folder.rpartition("/")[0]
        if folder.endswith("{id}/images") and f"{below}/masks" in of_folder:
            yield f"{folder}/{{id}}.*", f"{below}/masks/*.png"
    folders = sorted(of_folder, key=lambda folder: (-len(of_folder[folder]), folder))[:12]
    for images in folders:
        for masks in folders:
            # Of two folders without a name that says so one may hold masks, unless each holds masks of its own.
            nameless = len(folders) == 2 and not any(MASK_NAME.search(PurePosixPath(p).stem) for p in of_folder[images])
            if images != masks and not _is_mask_folder(images) and (_is_mask_folder(masks) or nameless):
                yield from _paired(of_folder[images], of_folder[masks], images, masks)
    for folder in folders:
        named = [path for path in of_folder[folder] if MASK_NAME.search(PurePosixPath(path).stem)]
        lossless = [path for path in named if _suffix(path) in MASK_SUFFIXES]
        rest = sorted(set(of_folder[folder]) - set(lossless))
        if lossless and rest:
            yield from _paired(rest, lossless, folder, folder)
        photographs = [path for path in of_folder[folder] if _suffix(path) in (".jpg", ".jpeg")]
        others = [path for path in of_folder[folder] if _suffix(path) in MASK_SUFFIXES]
        if photographs and others:
            yield from _paired(photographs, others, folder, folder)


def _abstract(path: str, above: int) -> str:
    """Return the folder of a path down to that of images or masks, with its split, and a group at most so far above."""
    kept: list[str] = []
    for part in path.split("/")[:-1]:
        bare = re.sub(r"(?i)[_-]?(images?|masks?|labels?|annot)$", "", part)
        tail = re.sub(r"(?i)^(images?|masks?|labels?|annot)[_-]", "", part)
        if part.lower() in SPLIT_WORDS and "{split}" not in kept:
            kept.append("{split}")
        elif bare.lower() in SPLIT_WORDS and bare != part and "{split}" not in kept:
            kept.append("{split}" + part[len(bare) :])
        elif tail.lower() in SPLIT_WORDS and tail != part and "{split}" not in kept:
            kept.append(part[: len(part) - len(tail)] + "{split}")
        else:
            kept.append(part)
    words = [i for i, part in enumerate(kept) if IMAGE_WORDS.match(part) or _is_mask_word(part)]
    if words:
        end = words[-1]
        after = kept[end + 1 :]
        kept = kept[: end + 1] + [part for part in after[:1] if part == "{split}"]
    return "/".join(_with_groups(kept, path, above) if above else kept)


def _with_groups(kept: list[str], path: str, above: int) -> list[str]:
    """Folders that are neither splits nor words become groups, or the id where the image is called so too."""
    stem = PurePosixPath(path).stem
    last = kept[-1] if kept else ""
    named = bool(kept) and bool(IMAGE_WORDS.match(last) or _is_mask_word(last))
    if named and len(kept) >= 2 and kept[-2] not in ("{split}",) and DIGITS.search(kept[-2]):
        place = "{id}" if stem == kept[-2] or (_is_mask_word(last) and len(kept[-2]) > 20) else "{group}"
        return [*kept[:-2], place, last]
    numbered = [at for at, part in enumerate(kept[:-1]) if part != "{split}" and DIGITS.search(part)] if named else []
    if numbered and numbered[-1] >= len(kept) - 1 - above:
        return [*kept[: numbered[-1]], "{group}", *kept[numbered[-1] + 1 :]]
    if kept and not named and last != "{split}" and DIGITS.search(last):
        return [*kept[:-1], "{group}"]
    return kept


def _is_mask_word(part: str) -> bool:
    with_split = r"\{split\}[_-]?(masks?|labels?|annot)|(masks?|labels?|annot)[_-]\{split\}"
    return bool(MASK_WORDS.match(part)) or bool(re.fullmatch(with_split, part, re.I))


def _is_mask_folder(folder: str) -> bool:
    return any(_is_mask_word(part) for part in folder.split("/"))


def _paired(
    images: Sequence[str], masks: Sequence[str], image_folder: str, mask_folder: str
) -> Iterator[tuple[str, str]]:
    """Yield patterns in which masks are called after images, with what all masks have before and behind the name."""
    image_names = [_name_below(path, image_folder) for path in images]
    mask_names = [_name_below(path, mask_folder) for path in masks]
    # Beside folders of masks every picture is an image, whatever its suffix.
    image_end, mask_end = _ending(images) if image_folder == mask_folder else ".*", _ending(masks)
    for before, behind in _own_affixes(image_names):
        cores = {name[len(before) : len(name) - len(behind)] for name in image_names}
        affixes: Counter[tuple[str, str]] = Counter()
        step = max(1, len(mask_names) // SAMPLED)
        for name in mask_names[::step]:
            found = _around(name, cores)
            if found is not None:
                affixes[found] += 1
        if affixes:
            left = f"{image_folder}/" if image_folder else ""
            right = f"{mask_folder}/" if mask_folder else ""
            first, last = (_one_of({affix[end] for affix in affixes}, at_start=not end) for end in (0, 1))
            if first is not None and last is not None:
                yield f"{left}{before}{{id}}{behind}{image_end}", f"{right}{first}{{id}}{last}{mask_end}"


def _name_below(path: str, folder: str) -> str:
    """Return the path below a folder, the one that may have placeholders, without suffix."""
    depth = len(folder.split("/")) if folder else 0
    name = "/".join(path.split("/")[depth:])
    return unicodedata.normalize("NFC", name[: len(name) - len(_suffix(path))])


def _own_affixes(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return what all images have before and behind their names; nothing first."""
    found = [("", "")]
    if len(names) > 1:
        before = re.sub(r"\d+$", "", _common_start(list(names)))
        behind = _common_start([name[::-1] for name in names])[::-1]
        behind = behind[re.search(r"[_.-]|$", behind).start() :] if behind else ""  # type: ignore[union-attr]  # $ is always found
        found += [(a, b) for a, b in ((before, ""), ("", behind), (before, behind)) if (a or b) and "/" not in a + b]
    return list(dict.fromkeys(found))


def _around(name: str, cores: set[str]) -> tuple[str, str] | None:
    """Return what stands before and behind the longest name of an image within the name of a mask."""
    for length in range(len(name), 0, -1):
        for start in range(len(name) - length + 1):
            if name[start : start + length] in cores:
                return name[:start], name[start + length :]
    return None


def _one_of(texts: set[str], *, at_start: bool) -> str | None:
    if len(texts) == 1:
        return next(iter(texts))
    numbered = {DIGITS.sub("{n}", text) for text in texts}
    if len(numbered) == 1 and next(iter(numbered)).count("{n}") == 1:
        return next(iter(numbered))
    common = _common_start(sorted(texts))
    ends = {text[-1:] for text in texts} if at_start else {text[:1] for text in texts}
    only_numbers = all(re.fullmatch(r"[\d_.\- ()]*", text[len(common) :]) for text in texts)
    if not at_start and common and only_numbers:
        return f"{common}*"
    if len(texts) <= MOST_CLASSES and len(ends) == 1 and next(iter(ends)) in ("/", "_", "-"):
        mark = next(iter(ends))
        return f"{{class}}{mark}" if at_start else f"{mark}{{class}}"
    return None


def _common_start(texts: Sequence[str]) -> str:
    """Return the longest beginning that all texts have."""
    first, last = min(texts), max(texts)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]


def _ending(paths: Sequence[str]) -> str:
    endings = {path[len(path) - len(_suffix(path)) :] for path in paths}
    return next(iter(endings)) if len(endings) == 1 else ".*"


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def mask_options(guess: PatternGuess) -> tuple[dict[str, JsonValue], list[str], bool]:
    """Return what the masks hold, why, and whether that is certain; reads a few of them."""
    several = sum(len(one.masks) > 1 for one in guess.matches.found)
    if "{class}" in guess.masks:
        names = sorted({name for one in guess.matches.found for name in one.classes})
        return {}, [f"one mask for each class: {', '.join(names[:10])}"], True
    if several and _drawn_by_several(guess.matches.found):
        told = (
            f"{several} images have several masks, taken as one object each, though they cover the same pixels, as "
            "drawings of several annotators do; if they are that, name the masks of one of them by the pattern"
        )
        return {"masks_hold": "object"}, [told], False
    if several:
        return {"masks_hold": "object"}, [f"{several} images have several masks, taken as one object each"], True
    found = guess.matches.found
    files = [one.masks[0] for one in found[:: max(1, len(found) // READ)]][:READ]
    numbers = [seen for seen in map(_looks_numbered, files) if seen is not None]
    votes = sum(numbers)
    if len(numbers) < 2 or votes < 0.9 * len(numbers):
        return {}, [], True
    if _look_different(found):
        told = (
            "every value of the masks is one region, but each looks alike in all images and unlike the others: classes"
        )
        return {}, [told], False
    reason = (
        f"in {votes} of {len(numbers)} masks looked at, every value from 1 upwards is one connected region, as "
        "numbers of objects are; if the values are classes, leave masks_hold out"
    )
    return {"masks_hold": "instances"}, [reason], False


def _drawn_by_several(found: Sequence[ImageWithMasks]) -> bool:
    """Return whether the masks of most images cover the same pixels, as drawings of one thing do."""
    shares = []
    for one in [one for one in found if len(one.masks) > 1][:READ]:
        try:
            first, second = (read_mask(file).pixels != 0 for file in one.masks[:2])
        except DatasetError:
            continue
        if first.shape == second.shape and first.any():
            shares.append(float((first & second).sum() / (first | second).sum()))
    return bool(shares) and sorted(shares)[len(shares) // 2] > 0.5


LOOK_DIFFERENT = 0.95
"""Share of pairs of images in which the one value is brighter than the other, from which they look different."""


def _look_different(found: Sequence[ImageWithMasks]) -> bool:
    """Return whether the values 1 and 2 of masks differ in the brightness of their pixels, as two classes do."""
    seen: dict[int, list[float]] = {1: [], 2: []}
    for one in found[:: max(1, len(found) // READ)][:READ]:
        try:
            image, labels = read_image(one.image), read_mask(one.masks[0]).pixels
        except DatasetError:
            continue
        if labels.shape == image.shape[:2] and (labels == 1).any() and (labels == 2).any():
            for value, brightness in seen.items():
                brightness.append(float(image[labels == value].mean()))
    first, second = (np.array(brightness) for brightness in seen.values())
    if len(first) < ENOUGH:
        return False
    brighter = float((first[:, None] > second).mean())
    return max(brighter, float((first[:, None] < second).mean())) >= LOOK_DIFFERENT


def _looks_numbered(file: Path) -> bool | None:
    """Return whether a mask has two or more values from 1 upwards, each one region; None if that is unclear."""
    try:
        pixels = read_mask(file).pixels
    except DatasetError:
        return None
    coloured = pixels.ndim == 3
    labels = pack_rgb(pixels) if coloured else pixels
    values = [value for value in np.unique(labels).tolist() if value]
    if len(values) < 2:
        return None
    if not coloured and values != list(range(1, len(values) + 1)) and len(values) < 20:
        return False
    if coloured and len(values) < 20:
        return False
    regions = [cv2.connectedComponents((labels == value).astype(np.uint8))[0] - 1 for value in values[:64]]
    return bool(sum(count == 1 for count in regions) >= 0.95 * len(regions))
