"""The one class behind every data set that lies on disk: a format lists its entries and reads a ground truth.

A format module makes an `OnDisk` from a table of classes, a function that lists the entries of a
split, and a function that reads the ground truth of an entry. Everything else is the same for all:
ids, decoding, the check that a mask has the size of its image, and the fingerprint.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from bench.data.formats.bands import BandReading
from bench.data.formats.doubts import Doubt
from bench.data.formats.entries import Entry as Entry
from bench.data.formats.entries import SplitEntries, decisive_files
from bench.data.formats.file_names import names_in, one_spelling, spelt_otherwise
from bench.data.formats.home import expanded
from bench.data.formats.image_files import MASK_SUFFIXES, read_image
from bench.data.formats.image_headers import header_of, image_size, read_bytes
from bench.data.formats.orientation import Frame, edge_contrast, of_other_size, turned_ground_truth, undecided
from bench.dataset import GroundTruth, Place, Spacing
from bench.errors import DatasetError, did_you_mean, visible
from bench.records import ClassSpec, Size, TaskKind, digest
from bench.records.predictions import RgbImage
from bench.records.store.files import sha256_of

SPLIT_NAME = re.compile("train|val|test", re.IGNORECASE)
"""A folder of another split is like one that is missing, and is not what is meant."""
MOST_LOOKED_AT = 200
"""Names in a folder that are compared with one that is missing."""


@dataclass(frozen=True)
class Description:
    """The description that a format gives of itself.

    Attributes:
        name: Name of the data set in a suite.
        tasks: Forms of ground truth.
        source: Source of the data, one line.
        licence: Its terms, one line.
        splits: Names of the splits, in order.
        decisive: Options that decide what a ground truth is; part of the fingerprint.
        inferred: Sentences on what was inferred or declared of how files are read.
        notes: Sentences on what was passed over at opening.
        bands: Rule for reading images that are declared by their bands; None reads RGB.
        companions: Patterns of the names of files that lie beside those that are read, and are not read on purpose.
    """

    name: str
    classes: tuple[ClassSpec, ...]
    tasks: tuple[TaskKind, ...]
    source: str
    licence: str
    splits: tuple[str, ...]
    decisive: JsonValue = None
    inferred: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bands: BandReading | None = None
    companions: tuple[str, ...] = ()


class Pictures(Protocol):
    """Images that are no files of their own: slices of volumes, rows of tables."""

    def image(self, entry: Entry) -> RgbImage:
        """Return the image, uint8, (H, W, 3), or (H, W, C) of declared bands."""
        ...

    def size(self, entry: Entry) -> Size:
        """Return its size, without decoding it where that can be."""
        ...

    def encoded(self, entry: Entry) -> bytes:
        """Return the image as the content of an image file."""
        ...

    def spacing(self, entry: Entry) -> Spacing | None:  # noqa: ARG002 - most say nothing about millimetres
        """Distance of its pixels in millimetres; None where it is not known."""
        return None

    def place(self, entry: Entry) -> Place | None:  # noqa: ARG002 - nor of volumes
        """Return its place in a volume; None where it is of none."""
        return None


class OnDisk:
    """A data set of files; keeps `bench.dataset.Dataset`. Splits are listed when first asked for."""

    def __init__(
        self,
        description: Description,
        list_split: Callable[[str], Sequence[Entry]],
        read_ground_truth: Callable[[Entry], GroundTruth],
        notes: Callable[[str], Sequence[str]] = lambda _: (),
        pictures: Pictures | None = None,
        doubts: Callable[[Entry], Sequence[Doubt]] | None = None,
    ) -> None:
        """Keep the description; list and read nothing. Raises `DatasetError` if two classes have one name.

        Args:
            notes: Function that returns sentences on what of a split was left out, guessed or converted.
            pictures: Reads the images; None where each is a file of its own.
            doubts: Function that returns where the ground truth of an entry disagrees with itself; None where it is
                told once only.
        """
        unseen = next((c.name for c in description.classes if visible(c.name) != c.name), None)
        if unseen is not None:
            raise DatasetError(
                f"{description.name}: the class {visible(unseen)!r} has control characters, or such as turn other "
                "letters, in its name, which no table can show. Rename it."
            )
        twice = [name for name, times in Counter(c.name for c in description.classes).items() if times > 1]
        if twice:
            raise DatasetError(
                f"{description.name}: two classes are called {twice[0]!r}. Rename one, or the option background."
            )
        self.description = description
        self.name = description.name
        self.classes, self.tasks = description.classes, description.tasks
        self.source, self.licence = description.source, description.licence
        self._list_split, self._read_ground_truth = list_split, read_ground_truth
        self._notes, self._doubts = notes, doubts
        self.bands, self.pictures = description.bands, pictures
        self.own_folds: Mapping[Path, int] = {}
        """Image file -> fold from 1 that its publisher has dealt it to; empty where none has."""
        self.orientation: Frame | None = None
        """The frame that labels fit where EXIF turns an image, if the suite states it; see `orientation.py`."""
        self._entries: dict[str, SplitEntries] = {}

    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return self.description.splits

    def ids(self, split: str) -> tuple[str, ...]:
        """Ids of a split, in the order of its list or of its file names."""
        return tuple(self._split(split))

    def notes(self, split: str) -> tuple[str, ...]:
        """Return what of a split is left out, guessed or converted, a sentence each; lists the split."""
        self._split(split)
        return tuple(self._notes(split))

    def entry(self, image_id: str) -> Entry:
        """Return the files of one image; lists splits until one has it."""
        for listed in self._entries.values():
            if image_id in listed:
                return listed[image_id]
        for split in self.splits():
            if image_id in self._split(split):
                return self._split(split)[image_id]
        raise DatasetError(f"{self.name}: no image {image_id!r} in the splits {', '.join(self.splits())}")

    def group(self, image_id: str) -> str:
        """Return the image's group, which must stay together: patient, scene, film; its own id where none is known."""
        return self.entry(image_id).group or image_id

    def image(self, image_id: str) -> RgbImage:
        """Return the image, uint8, (H, W, 3), RGB, upright; (H, W, C) of those bands that are declared."""
        entry = self.entry(image_id)
        if self.pictures is not None:
            return self.pictures.image(entry)
        return read_image(entry.image) if self.bands is None else self.bands.image(entry.image)

    def encoded(self, image_id: str) -> bytes:
        """Return the content of its file; of an image without one, that of a PNG of it."""
        entry = self.entry(image_id)
        return read_bytes(entry.image) if self.pictures is None else self.pictures.encoded(entry)

    def spacing(self, image_id: str) -> Spacing | None:
        """Distance of its pixels in millimetres; None where the files do not say."""
        return None if self.pictures is None else self.pictures.spacing(self.entry(image_id))

    def place(self, image_id: str) -> Place | None:
        """Return where it lies in its volume; None where it is no slice."""
        return None if self.pictures is None else self.pictures.place(self.entry(image_id))

    def target(self, image_id: str) -> GroundTruth:
        """Return its ground truth, as the image is shown.

        Raises:
            DatasetError: If it cannot be read, has another size than the image, or EXIF turns the image and nothing
                says what its labels fit.
        """
        orientation = self.exif_orientation(image_id)
        if orientation == 1:
            return self._as(image_id, "shown")
        if self.orientation is not None:
            return self._as(image_id, self.orientation)
        found = self.readings(image_id)
        if list(found) == ["shown"]:
            return found["shown"]
        if not found:
            return self._as(image_id, "shown")  # which tells the sizes
        file = self.entry(image_id).image
        raise undecided(file, orientation, list(found), self.contrasts(image_id, found))

    def doubts(self, image_id: str) -> list[Doubt]:
        """Return where its ground truth disagrees with itself; raises `DatasetError` if it cannot be read."""
        return [] if self._doubts is None else [*self._doubts(self.entry(image_id))]

    def exif_orientation(self, image_id: str) -> int:
        """EXIF orientation of its file, 1-8, where its labels might fit another; 1 where they cannot.

        They cannot where the image is upright or no picture, or a mask of it has an orientation of its own, by which
        it is turned when it is read.
        """
        entry = self.entry(image_id)
        orientation = 1 if self.pictures is not None else header_of(entry.image).orientation
        masks = [path for path in entry.ground_truths if path.suffix.lower() in MASK_SUFFIXES and path.suffix != ".npy"]
        if orientation == 1 or any(header_of(mask).orientation != 1 for mask in masks if mask.is_file()):
            return 1
        return orientation

    def readings(self, image_id: str) -> dict[Frame, GroundTruth]:
        """Return the ground truth of an image that EXIF turns, as the image is shown, by what its labels may fit.

        Where sizes rule a frame out it is missing. One of an upright image is as shown.
        """
        found: dict[Frame, GroundTruth] = {}
        frames: tuple[Frame, ...] = ("shown", "stored")
        for frame in frames[:1] if self.exif_orientation(image_id) == 1 else frames:
            try:
                found[frame] = self._as(image_id, frame)
            except DatasetError as error:
                if error.kind != "size":
                    raise
        return found

    def contrasts(self, image_id: str, readings: Mapping[Frame, GroundTruth]) -> dict[Frame, float | None]:
        """Frame -> how much contrast the image has along the outlines of its labels, see `edge_contrast`."""
        image = self.image(image_id)
        return {frame: edge_contrast(image, ground_truth.semantic.labels) for frame, ground_truth in readings.items()}

    def _as(self, image_id: str, frame: Frame) -> GroundTruth:
        """The ground truth read for a frame, as the image is shown; raises `DatasetError` of kind size."""
        entry = self.entry(image_id)
        entry = entry if entry.frame == frame else replace(entry, frame=frame)
        ground_truth = self._read_ground_truth(entry)
        expected = self.size(image_id) if frame == "shown" else entry.size
        if ground_truth.size != expected:
            masks = ", ".join(str(path) for path in entry.ground_truths) or f"the annotation of {entry.image.name}"
            raise of_other_size(masks, ground_truth.size, entry.image, expected)
        return turned_ground_truth(ground_truth, self.exif_orientation(image_id)) if frame == "stored" else ground_truth

    def size(self, image_id: str) -> Size:
        """Return its size, from the file's header."""
        entry = self.entry(image_id)
        return image_size(entry.image) if self.pictures is None else self.pictures.size(entry)

    def fingerprint(self, split: str) -> str:
        """Hash of ids and content of all files of the split and of the options that decide the ground truth."""
        return self.manifest(split, lambda files: map(content_hash, files))

    def manifest(
        self, split: str, hashes_of: Callable[[Sequence[Path]], Iterable[str]], *, max_images: int | None = None
    ) -> str:
        """Return the fingerprint of the first images of a split, with the hashes of files from elsewhere.

        Args:
            hashes_of: Files -> SHA-256 of each, in their order.
            max_images: None takes all images.
        """
        listed = decisive_files(islice(self._split(split).values(), max_images))
        hashes = iter(hashes_of([path for _, files in listed for path in files]))
        rows: list[JsonValue] = [[image_id, *(next(hashes) for _ in files)] for image_id, files in listed]
        names: list[JsonValue] = [[c.name, c.is_thing] for c in self.classes]
        return digest([self.name, self.description.decisive, names, rows])

    def _split(self, split: str) -> SplitEntries:
        if split not in self.splits():
            raise DatasetError(
                f"{self.name}: no split named {split!r}.{did_you_mean(split, self.splits())} "
                f"It has: {', '.join(self.splits())}"
            )
        if split not in self._entries:
            entries = SplitEntries(self._list_split(split))
            twice, before = entries.twice, self._entries.items()
            shared = [f"{i} (also in {name})" for name, known in before for i in known.shared_with(entries)]
            if twice or shared:
                listed = ", ".join([*twice, *shared][:5])
                deal = (
                    " To have the images of other splits alone dealt out anew: split_by: fraction, with pool: "
                    f"[{', '.join(name for name in self.splits() if name != split)}]."
                )
                raise DatasetError(
                    f"{self.name}: {len(twice) + len(shared)} ids of split {split!r} are not unique: {listed}. An "
                    f"image may occur once, in one split; rename or remove the others.{deal if shared else ''}"
                )
            self._entries[split] = entries
        return self._entries[split]


def content_hash(path: Path) -> str:
    """SHA-256 of a file in hex, read again only when its state differs, see `file_state`; '' if it is missing."""
    return sha256_of(path) if path.exists() else ""


def with_orientation(dataset: OnDisk, orientation: Frame) -> OnDisk:
    """Return the data set with the option `orientation`."""
    other = copy.copy(dataset)
    other.orientation = orientation
    other.description = replace(dataset.description, decisive=[dataset.description.decisive, orientation])
    return other


def with_bands(dataset: OnDisk, reading: BandReading) -> OnDisk:
    """Return the data set with images read as a declaration says."""
    other, told = copy.copy(dataset), reading.describe()
    other.bands = reading
    other.description = replace(
        dataset.description,
        decisive=[dataset.description.decisive, told],
        inferred=(*dataset.description.inferred, told),
    )
    return other


def missing(name: str, looked_for: Path, expected: str, obtain: str) -> DatasetError:
    """Return the error for files that are not there: where it looked, what should be there, how to get it."""
    where = str(looked_for.absolute()).replace("\n", "\\n")
    return DatasetError(
        f"{name}: nothing at {where}.{_like(looked_for)} Expected: {expected}. {obtain} "
        f"If it lies elsewhere, set the data set's option root."
    )


def _like(looked_for: Path) -> str:
    """Return what lies there under a name that is like the first that is missing, as a sentence; nothing if none is."""
    place = looked_for
    while not place.parent.exists() and place.parent != place:
        place = place.parent
    names = names_in(place.parent) - {place.name}
    if place.exists() or not names:
        return ""
    like = spelt_otherwise(names).get(one_spelling(place.name))
    if like is not None:
        return f" There is {like}, whose letters are composed otherwise or differ in case; rename it."
    # Of a missing file the others are no hint, and there may be a hundred thousand.
    if place == looked_for or len(names) > MOST_LOOKED_AT or SPLIT_NAME.search(place.name):
        return ""
    return did_you_mean(place.name, names)


def require_folder(name: str, folder: Path, expected: str, obtain: str) -> Path:
    """Return the folder; raises `DatasetError` by `missing` if there is none."""
    if not folder.is_dir():
        raise missing(name, folder, expected, obtain)
    return folder


def require_file(name: str, file: Path, expected: str, obtain: str) -> Path:
    """Return the file; raises `DatasetError` by `missing` if there is none."""
    if not file.is_file():
        raise missing(name, file, expected, obtain)
    return file


def root_of(root: str) -> Path:
    """Return the folder of an option `root`: `~` is the home folder, a relative path starts at the working folder."""
    return expanded(root)


def require_files(name: str, entries: Sequence[Entry], expected: str, obtain: str) -> list[Entry]:
    """Return the entries; raises `DatasetError` with the number of missing files and the first of them."""
    absent = [path for entry in entries for path in (entry.image, *entry.ground_truths) if not path.is_file()]
    if absent:
        counted = f"{expected} for {len(entries)} images, of whose files {len(absent)} are missing"
        raise missing(name, absent[0], counted, obtain)
    return list(entries)
