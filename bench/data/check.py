"""`bench data check`: what is wrong with a data set, file by file.

Wrong is what makes an evaluation fail or lie; worth a note is what may be meant. Every byte of images
and masks is read, once; see `scan.py` for how an interrupted check goes on and
`duplicates.py` for which images count as the same.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.data.formats.bands import all_of_few_bits
from bench.data.formats.contents import alike_names, many_unseen
from bench.data.formats.folder_pairs import unread
from bench.data.formats.on_disk import OnDisk
from bench.data.formats.orientation import contradicted
from bench.data.info import published_counts
from bench.data.inspection import INSPECTION_VERSION, inspect, mask_files
from bench.data.label_doubts import doubts_of_splits
from bench.data.labels.dataset import on_disk
from bench.data.leaks import leaks
from bench.data.opening import Choice
from bench.data.scan import Finding, Listed, Pass, Row, look_at_all, rows_by_split
from bench.dataset import Dataset
from bench.errors import DatasetError, few

WRONG = {
    "listing": "splits that cannot be listed",
    "nothing": "splits in which there is nothing to learn or to score",
    "duplicate": "ids that occur twice",
    "image": "images that cannot be read",
    "mask": "masks that cannot be read",
    "range": "images of 16 bits that hold few, which would be read dark",
    "size": "masks of another size than their image",
    "orientation": "images that EXIF turns, whose labels may fit them as stored",
    "labels": "labels outside the table, or that contradict each other",
    "colours": "colours outside the table, or in place of indices",
    "truth": "annotations that cannot be used",
    "order": "masks whose run lengths go along the rows",
    "scale": "coordinates that are no pixels of their image",
    "pose": "labels that fit their images mirrored, or with x and y swapped",
    "box": "objects whose box is elsewhere than their mask",
    "lost": "splits in which many objects cover no pixel",
    "leak": "identical images in different splits",
    "near": "nearly identical images in different splits",
    "film": "frames of one film, or pictures of one scene, in different splits",
    "group": "patients, scenes or films in different splits",
}
"""Kind of finding -> what it is called, in the order of the report."""

NOTES = {
    "empty": "images without an object or a labelled pixel",
    "unseen": "images with objects that cover no pixel",
    "twice": "images with an object that was annotated twice",
    "cut": "images with objects that are cut at the edge",
    "rectangles": "splits whose objects are all rectangles",
    "corners": "images with boxes of two corners",
    "area": "images with areas that are not those of the masks",
    "swapped": "classes that seem to have changed places between splits",
    "alike": "classes whose names are nearly the same",
    "repeated": "identical images within a split",
    "stored": "masks stored otherwise than the others",
    "read": "what is left out, guessed or converted in reading",
    "alpha": "images whose transparency varies and is dropped",
    "turned": "images that EXIF turns, by sizes or by what the suite says of their labels",
    "absent": "classes that a split has no image of",
    "count": "splits with fewer images than published",
    "leftover": "files in its folders that are not read",
}
"""These are, as in `WRONG`, sentences for what may be meant."""


@dataclass(frozen=True)
class Checked:
    """The outcome of a check.

    Attributes:
        label: Name of the data set.
        counts: Split -> images looked at.
        findings: Findings in the order of `WRONG` and `NOTES`, then of splits and images.
        remembered: Images known from an earlier check.
        inferred: Sentences on how files are read, where that was inferred or declared.
    """

    label: str
    counts: dict[str, int]
    findings: tuple[Finding, ...]
    remembered: int
    inferred: tuple[str, ...] = ()

    @property
    def wrong(self) -> int:
        """Return how many findings are not mere notes."""
        return sum(finding.kind in WRONG for finding in self.findings)

    def wrong_with(self, split: str) -> list[str]:
        """Return what is wrong with a split, or with all of them, a message each."""
        return [one.message for one in self.findings if one.kind in WRONG and one.split in (split, "")]

    def absent_from(self, split: str) -> list[str]:
        """Return what a split lacks, a message each."""
        return [one.message for one in self.findings if one.kind == "absent" and one.split in (split, "")]


def check(
    choice: Choice, dataset: Dataset, splits: Sequence[str], *, cache: Path, jobs: int | None, console: Console
) -> Checked:
    """Look at every image and ground truth of the splits; raises `DatasetError` only if a process dies.

    Args:
        choice, dataset: The data set, and how it was chosen.
        cache: Folder that remembers what was seen.
        jobs: Processes; None = one for each core.
    """
    files = on_disk(dataset)
    findings: list[Finding] = []
    images: list[Listed] = []
    for split in splits:
        try:
            listed = [Listed(split, image_id) for image_id in dataset.ids(split)]
            images += listed
            if not listed:
                findings.append(Finding("nothing", split, "", f"{split}: has no image"))
            findings += [Finding("read", split, "", note) for note in (files.notes(split) if files else ())]
        except DatasetError as error:
            findings.append(Finding("listing", split, "", str(error)))
    counts = dict(Counter(image.split for image in images))
    if not splits:
        findings.append(Finding("listing", "", "", f"{choice.label} has no splits, and so no images"))
    findings += passed_over(dataset)
    findings += _duplicates(images) + _fewer(choice, dataset, counts)
    task = Pass("check", choice, dataset, inspect, INSPECTION_VERSION, cache, jobs)
    seen = look_at_all(task, images, console)
    for image in images:
        for kind, message in seen.rows[image.image_id]["found"]:
            findings.append(Finding(kind, image.split, image.image_id, message))
    of_split = rows_by_split(images, seen.rows)
    findings += leaks(dataset, images, seen.rows)
    findings += doubts_of_splits(dataset, images, seen.rows)
    if files is not None:
        findings += _of_all_files(files, images, seen.rows)
    findings += _lost(of_split)
    findings += [Finding("alike", "", "", told) for told in alike_names(dataset.classes)]
    findings += _absent_classes(of_split, dataset)
    order = [*WRONG, *NOTES]
    findings.sort(key=lambda finding: order.index(finding.kind))
    inferred = () if files is None else files.description.inferred
    return Checked(choice.label, counts, tuple(findings), seen.remembered, inferred)


def passed_over(dataset: Dataset) -> list[Finding]:
    """Return the files in the folders of a data set that no split reads."""
    files = on_disk(dataset)
    if files is None:
        return []
    told = list(files.description.notes)
    if files.name != "folder":  # which looks through its folders itself
        told += [left.describe() for left in unread(files)]
    return [Finding("leftover", "", "", note) for note in told]


def _duplicates(images: Sequence[Listed]) -> list[Finding]:
    splits: dict[str, list[str]] = defaultdict(list)
    for image in images:
        splits[image.image_id].append(image.split)
    return [
        Finding("duplicate", found[-1], image_id, f"{image_id} is listed {len(found)} times: {', '.join(found)}")
        for image_id, found in splits.items()
        if len(found) > 1
    ]


def _fewer(choice: Choice, dataset: Dataset, counts: dict[str, int]) -> list[Finding]:
    return [
        Finding("count", split, "", f"{split}: {counts[split]} found, {published} published")
        for split, published in published_counts(choice, dataset).items()
        if split in counts and counts[split] < published
    ]


def _lost(of_split: dict[str, list[Row]]) -> Iterator[Finding]:
    for split, rows in of_split.items():
        told = many_unseen(sum(r.get("unseen", 0) for r in rows), sum(r.get("objects", 0) for r in rows))
        if told is not None:
            yield Finding("lost", split, "", f"{split}: {told}")


def _of_all_files(files: OnDisk, images: Sequence[Listed], rows: dict[str, Row]) -> Iterator[Finding]:
    """Yield an option `orientation` that the images speak against, images of 16 bits of which none needs so many,
    and masks stored otherwise than most.
    """
    contrasts = [row["contrasts"] for row in rows.values() if "contrasts" in row]
    sixteen = [image.image_id for image in images if "sixteen" in rows[image.image_id]]
    told = all_of_few_bits({files.entry(i).image: rows[i]["sixteen"] for i in sixteen}, len(images))
    for kind, message in (("orientation", contradicted(files.orientation, contrasts)), ("range", told)):
        if message is not None:
            yield Finding(kind, "", "", message)
    for position in range(max((len(row["stored"]) for row in rows.values()), default=0)):
        stored = {
            image: tuple(rows[image.image_id]["stored"][position])
            for image in images
            if len(rows[image.image_id]["stored"]) > position and rows[image.image_id]["stored"][position][0]
        }
        usual, _ = Counter(stored.values()).most_common(1)[0] if stored else (("", ""), 0)
        for image, found in stored.items():
            what = _stored_otherwise(found, usual)
            if what:
                mask = mask_files(files.entry(image.image_id))[position]
                yield Finding("stored", image.split, image.image_id, f"{mask} {what}")


def _stored_otherwise(found: tuple[str, str], usual: tuple[str, str]) -> str:
    """Return how a mask is stored, mode and palette of six hex digits a colour, unless as most others."""
    if found[0] != usual[0]:
        return f"is stored as {found[0]}, most others as {usual[0]}"
    differing = (i // 6 for i, (a, b) in enumerate(zip(found[1], usual[1], strict=False)) if a != b)
    first = next(differing, None)
    return "" if first is None else f"has another palette than most others, from index {first} on"


def _absent_classes(of_split: dict[str, list[Row]], dataset: Dataset) -> Iterator[Finding]:
    """Yield splits whose ground truth says nothing at all, classes that a split lacks, and classes that none has."""
    present: dict[str, set[int]] = {}
    for split, rows in of_split.items():
        present[split] = {class_id for row in rows for class_id in row.get("classes", ())}
        if not present[split] and all("classes" in row for row in rows):
            kind = "labelled pixel" if "semantic" in dataset.tasks else "object"
            yield Finding("nothing", split, "", f"{split}: none of its {len(rows)} images has any {kind}")
    anywhere = set().union(*present.values())
    for split, found in present.items():
        missing = [spec.name for index, spec in enumerate(dataset.classes) if index in anywhere - found]
        if missing and found:
            yield Finding("absent", split, "", f"{split}: no image has {few(missing)}; other splits do")
    nowhere = [spec.name for index, spec in enumerate(dataset.classes) if index not in anywhere]
    if nowhere and anywhere and set(present) == set(dataset.splits()):
        yield Finding("absent", "", "", f"no image of any split has {few(nowhere)}")


def report(checked: Checked, *, show: int) -> str:
    """Return the findings as text, at most `show` of a kind (0 = all), the verdict last."""
    lines = []
    for kind, title in {**WRONG, **NOTES}.items():
        found = [finding for finding in checked.findings if finding.kind == kind]
        if not found:
            continue
        lines.append(f"{'wrong' if kind in WRONG else 'note'}: {title}: {len(found)}")
        shown = found[:show] if show else found
        lines += [f"  {_located(finding)}" for finding in shown]
        if len(found) > len(shown):
            lines.append(f"  … and {len(found) - len(shown)} more; --show 0 lists all")
        lines.append("")
    return "\n".join([*checked.inferred, *lines, verdict(checked)])


def _located(finding: Finding) -> str:
    """Return the finding with its split and image, where the message does not name them."""
    if finding.kind in ("empty", "unseen", "twice", "size", "labels") and finding.image_id not in finding.message:
        return f"{finding.split}/{finding.image_id}: {finding.message}"
    return finding.message


def verdict(checked: Checked) -> str:
    """Return one line: how much was looked at and how much is wrong.

    >>> verdict(Checked("mine", {"train": 8, "val": 2}, (), 0))
    'mine: nothing wrong in 10 images (train 8, val 2)'
    """
    total = sum(checked.counts.values())
    if not total:
        return f"{checked.label}: no images were found, so that nothing could be checked"
    where = f"{total} images ({', '.join(f'{split} {count}' for split, count in checked.counts.items())})"
    notes = len(checked.findings) - checked.wrong
    noted = f"; {notes} note{'s' if notes != 1 else ''}" if notes else ""
    things = f"{checked.wrong} thing{'s' if checked.wrong != 1 else ''}" if checked.wrong else "nothing"
    return f"{checked.label}: {things} wrong in {where}{noted}"
