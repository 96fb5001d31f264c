"""Data sets by name, opened with a suite's options, and with the splits that these ask for.

These options are understood beside the data set's own:

    split_by: fraction     pool the images and deal them out by `fractions` and `seed`
    group: REGEX           searched in the path of an image below root; its first group must stay in one split
    stratify: true         every class has its share of the images in each split; reads all annotations once
    folds: 5, fold: 2      cross-validation: test is the second of five parts, `validation` of the rest is val
    pool: [train, val]     pool only these of the data set's splits; the others are left out

Folds that a data set brings along, as nnU-Net's splits_final.json does, are taken as they are.

With `folds` alone the splits are the parts, fold1 to fold5. `group` without one of the others changes no
split: it says what must be seen as one when scores get intervals.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, model_validator

from bench.data.formats.bands import BandOptions, Percentiles, measured_ranges
from bench.data.formats.home import expanded
from bench.data.formats.on_disk import Entry, OnDisk, with_bands, with_orientation
from bench.data.formats.orientation import Orientation
from bench.data.formats.splits import FractionOptions, by_fraction, group_keys, stratified
from bench.dataset import Dataset, DatasetAround, default_root, groups_of
from bench.errors import DatasetError, did_you_mean
from bench.records import ClassSpec, Record, as_json_dict, digest, void_of
from bench.records.names import named_module
from bench.records.predictions import SemanticMap


def open_dataset(name: str, options: dict[str, JsonValue]) -> Dataset:
    """Open a data set by name.

    Args:
        options: The data set's own, those of `Resplit` where its splits are to be made anew, `orientation`, and those
            of `BandOptions`.

    Raises:
        PluginError: If there is no such data set.
        ValidationError: pydantic's, for wrong options.
    """
    module = named_module("bench.datasets", name, "data set", "datasets")
    own, splits = parted(_own(options, module), module.Options.model_fields)
    other = None if splits is None else Resplit.model_validate(splits, strict=False)
    frame = Orientation.model_validate(_shared(options, module, Orientation), strict=False).orientation
    dataset: Dataset = module.open_dataset(module.Options.model_validate(own, strict=False))
    if frame is not None:
        dataset = with_orientation(_of_files(dataset, "orientation"), frame)
    bands = _shared(options, module, BandOptions)
    if bands:
        dataset = _with_bands(_of_files(dataset, ", ".join(bands)), BandOptions.model_validate(bands, strict=False))
    root = own.get("root", default_root(name))
    return dataset if other is None else resplit(dataset, other, None if root is None else str(root))


def _shared(options: dict[str, JsonValue], module: ModuleType, of: type[Record]) -> dict[str, JsonValue]:
    """Return the options that every data set of files takes, and that the module does not have itself."""
    own = module.Options.model_fields
    return {key: value for key, value in options.items() if key in of.model_fields and key not in own}


def _own(options: dict[str, JsonValue], module: ModuleType) -> dict[str, JsonValue]:
    shared = {**_shared(options, module, Orientation), **_shared(options, module, BandOptions)}
    return {key: value for key, value in options.items() if key not in shared}


def _of_files(dataset: Dataset, option: str) -> OnDisk:
    if not isinstance(dataset, OnDisk) or dataset.pictures is not None:
        raise DatasetError(f"option {option} is for data sets of files; this one has no image files. Remove it.")
    return dataset


def _with_bands(dataset: OnDisk, options: BandOptions) -> OnDisk:
    """Return the data set with images read as declared, percentiles measured on `train`."""
    reading = options.reading()
    if reading is None:
        raise DatasetError("options rgb and depth belong to bands or range; write one of these, or remove them.")
    if isinstance(options.range, Percentiles):
        splits = ["train"] if "train" in dataset.splits() else [*dataset.splits()]
        images = [dataset.entry(image_id).image for split in splits for image_id in dataset.ids(split)]
        reading = measured_ranges(reading, images, options.range)
    return with_bands(dataset, reading)


def classes_without_files(name: str, options: dict[str, JsonValue]) -> tuple[ClassSpec, ...] | None:
    """Return the label space of a data set where its module knows it before the files are there; else None."""
    module = named_module("bench.datasets", name, "data set", "datasets")
    if not hasattr(module, "classes_without_files"):
        return None
    own, _ = parted(_own(options, module), module.Options.model_fields)
    known: tuple[ClassSpec, ...] | None = module.classes_without_files(module.Options.model_validate(own, strict=False))
    return known


ALWAYS = ("folds", "fold", "stratify", "pool", "validation")
"""Options that no data set has itself."""


class Resplit(FractionOptions):
    """Options that any data set takes.

    Attributes:
        split_by: `fraction` pools the images and deals them out anew.
        stratify: True gives each class its share of images in every split.
        folds: Number of parts for cross-validation.
        fold: Number of the part that is test, counted from 1.
        validation: Share of the other parts that is val, with `fold`.
        pool: Splits whose images are dealt out; None = all.
    """

    split_by: Literal["fraction"] | None = None
    stratify: bool = False
    folds: int | None = Field(default=None, ge=2)
    fold: int | None = Field(default=None, ge=1)
    validation: float = Field(default=0.15, gt=0, lt=1)
    pool: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> Resplit:
        if self.fold is not None and (self.folds is None or self.fold > self.folds):
            raise ValueError(f"fold {self.fold} needs folds, and is one of them: from 1 to {self.folds or 'folds'}")
        return self

    @property
    def deals(self) -> bool:
        """Return whether images are dealt out anew."""
        return self.split_by is not None or self.stratify or self.folds is not None


def parted(
    options: Mapping[str, JsonValue], own: Collection[str]
) -> tuple[dict[str, JsonValue], dict[str, JsonValue] | None]:
    """Return options of the data set itself, and those that say other splits; None where there are none of these.

    Args:
        own: Names of the data set's own options; those of the two that it understands itself stay with it.

    >>> parted({"root": "x", "split_by": "fraction"}, ["root"])
    ({'root': 'x'}, {'split_by': 'fraction'})
    >>> parted({"root": "x", "group": "^a"}, ["root", "group", "fractions"])
    ({'root': 'x', 'group': '^a'}, None)
    >>> parted({"root": "x", "group": "^a", "folds": 3}, ["root", "group", "fractions"])
    ({'root': 'x', 'group': '^a', 'fractions': {'all': 1.0}}, {'group': '^a', 'folds': 3})
    """
    about_splits = {key: value for key, value in options.items() if key in Resplit.model_fields}
    if not any(key in ALWAYS or key not in own for key in about_splits):
        return dict(options), None
    kept = {key: value for key, value in options.items() if key in own or key not in Resplit.model_fields}
    if "fractions" in own:
        kept["fractions"] = {"all": 1.0}  # one pool, whatever the number of groups
    # Rules that only the data set knows, such as lists, say what is pooled.
    if "split_by" in own and about_splits.get("split_by") != "fraction":
        about_splits.pop("split_by", None)
    return kept, about_splits


def resplit(dataset: Dataset, options: Resplit, root: str | None) -> Dataset:
    """Return other splits, or groups alone, listed when asked for; raises `DatasetError` for options of no use."""
    made = not isinstance(dataset, OnDisk)
    source: OnDisk | _Listed = _Listed(dataset) if made else dataset  # type: ignore[assignment]
    _require_use(source, options)
    dealt = _Dealt(source, options, root)
    if made:
        return ResplitMade(dataset, dealt, options)
    other = copy.copy(dataset)
    other._entries = {}  # type: ignore[attr-defined]
    other._list_split = dealt.entries  # type: ignore[attr-defined]
    if options.deals:
        other.description = replace(dataset.description, splits=dealt.names())  # type: ignore[attr-defined]
    return other


def _require_use(dataset: OnDisk | _Listed, options: Resplit) -> None:
    """Raise `DatasetError` for options that change nothing, and for splits that are not there."""
    useless = options.model_fields_set & {"fractions", "seed", "pool", "validation"}
    if not options.deals and useless:
        raise DatasetError(
            f"{dataset.name}: {', '.join(sorted(useless))} without split_by: fraction, stratify or folds changes "
            "nothing. Add one of these, or remove it."
        )
    for split in options.pool or ():
        if split not in dataset.splits():
            raise DatasetError(
                f"{dataset.name}: pool names {split!r}.{did_you_mean(split, dataset.splits())} "
                f"It has: {', '.join(dataset.splits())}"
            )


class _Listed:
    """The images of a data set that is made and not read, as `_Dealt` takes them: entries without a file."""

    own_folds: Mapping[Path, int] = {}

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.name = type(dataset).__name__.lower()
        self.classes, self.splits = dataset.classes, dataset.splits
        self.ids, self.target = dataset.ids, dataset.target

    def entry(self, image_id: str) -> Entry:
        """Return an image with its group: what the data set says, or the volume that it is a slice of."""
        groups = groups_of(self._dataset, [image_id])
        return Entry(image_id, Path(image_id), group=groups[0] if groups else "")


class ResplitMade(DatasetAround):
    """A data set that is made and not read, with other splits; all else is its own."""

    def __init__(self, dataset: Dataset, dealt: _Dealt, options: Resplit) -> None:
        """Keep all three; list nothing yet."""
        super().__init__(dataset)
        self._dealt, self._options = dealt, options

    def __getattr__(self, name: str) -> Any:
        """Return what else a data set may have: its notes."""
        if name.startswith("_") or name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order."""
        return self._dealt.names() if self._options.deals else self.inner.splits()

    def ids(self, split: str) -> tuple[str, ...]:
        """Image ids of a split, in the order of the data set."""
        return tuple(entry.image_id for entry in self._dealt.entries(split))

    def group(self, image_id: str) -> str:
        """Return what an image must stay together with, or its own id."""
        return self._group_of[image_id]

    @cached_property
    def _group_of(self) -> dict[str, str]:
        entries = [entry for split in self.splits() for entry in self._dealt.entries(split)]
        return {entry.image_id: entry.group or entry.image_id for entry in entries}

    def fingerprint(self, split: str) -> str:
        """Hash of all that is dealt out, of how, and of the split."""
        pool = self._options.pool or self.inner.splits()
        own = [self.inner.fingerprint(one) for one in pool]
        return digest([*own, as_json_dict(self._options), split])


class _Dealt:
    """The images of a data set, dealt out when first needed."""

    def __init__(self, dataset: OnDisk | _Listed, options: Resplit, root: str | None) -> None:
        self._dataset, self._options, self._root = dataset, options, root

    def names(self) -> tuple[str, ...]:
        if self._options.folds is None:
            return tuple(self._options.fractions)
        return tuple(self._parts()) if self._options.fold is None else ("train", "val", "test")

    def entries(self, split: str) -> list[Entry]:
        """Return images of a split, in the order of the data set."""
        if not self._options.deals:
            listed = [self._dataset.entry(image_id) for image_id in self._dataset.ids(split)]
            return self._grouped(listed)
        return self._by_split[split]

    @cached_property
    def _by_split(self) -> dict[str, list[Entry]]:
        pool = self._options.pool or self._dataset.splits()
        entries = self._grouped([self._dataset.entry(i) for split in pool for i in self._dataset.ids(split)])
        keys = [entry.group or entry.image_id for entry in entries]
        where, options = self._dataset.name, self._options
        if options.folds is None:
            dealt = self._deal(entries, keys, options.fractions)
        elif self._dataset.own_folds:
            dealt = self._published(entries)
        elif len(set(keys)) < options.folds:
            raise DatasetError(
                f"{where}: {len(entries)} images in {len(set(keys))} groups are too few for folds: "
                f"{options.folds}. Give fewer folds."
            )
        else:
            dealt = self._deal(entries, keys, self._parts())
        if options.fold is not None:
            dealt = _train_val_test(keys, dealt, options, where)
        return {name: [e for e, split in zip(entries, dealt, strict=True) if split == name] for name in self.names()}

    def _deal(self, entries: Sequence[Entry], keys: Sequence[str], fractions: Mapping[str, float]) -> list[str]:
        seed, where = self._options.seed, self._dataset.name
        if not self._options.stratify:
            return by_fraction(keys, fractions, seed=seed, where=where)
        presence = np.stack([self._presence(entry) for entry in entries])
        return stratified(keys, presence, fractions, seed=seed, where=where)

    def _published(self, entries: Sequence[Entry]) -> list[str]:
        """Return the fold of each image as it was published; raises `DatasetError` for another number of folds."""
        own, asked = self._dataset.own_folds, self._options.folds
        count = max(own.values())
        lost = [entry.image.name for entry in entries if entry.image not in own]
        if asked != count or lost:
            what = f"of {len(lost)} images it says nothing, for example {lost[0]}" if lost else f"it has {count} folds"
            raise DatasetError(
                f"{self._dataset.name}: folds: {asked} is asked for, and the data set's own file of folds deals the "
                f"images out; {what}. Write folds: {count} with pool for the images that it names, or move the file "
                "away to have them dealt out anew."
            )
        return [f"fold{own[entry.image]}" for entry in entries]

    def _parts(self) -> dict[str, float]:
        folds = self._options.folds or 1
        return {f"fold{number}": 1 / folds for number in range(1, folds + 1)}

    def _presence(self, entry: Entry) -> NDArray[np.bool_]:
        """Return which classes an image has, bool, (K,)."""
        ground_truth = self._dataset.target(entry.image_id)
        present = np.zeros(len(self._dataset.classes), dtype=np.bool_)
        if ground_truth.instances is not None:
            present[ground_truth.instances.class_ids] = True
        if isinstance(ground_truth.semantic, SemanticMap):
            found = np.unique(ground_truth.semantic.labels)
            present[found[found != void_of(ground_truth.semantic.labels)]] = True
        return present

    def _grouped(self, entries: list[Entry]) -> list[Entry]:
        """Return entries with their groups: those that the data set knows, else by the expression."""
        if self._options.group is None or all(entry.group for entry in entries):
            return entries
        base = None if self._root is None else expanded(self._root)
        paths = [entry.image for entry in entries]
        names = [(p.relative_to(base) if base and p.is_relative_to(base) else p).as_posix() for p in paths]
        keys = group_keys(names, self._options.group, where=self._dataset.name)
        return [replace(entry, group=key) for entry, key in zip(entries, keys, strict=True)]


def _train_val_test(keys: Sequence[str], parts: Sequence[str], options: Resplit, where: str) -> list[str]:
    """Return splits for one fold: its part is test, a share of the other groups val."""
    rest = [key for key, part in zip(keys, parts, strict=True) if part != f"fold{options.fold}"]
    shares = {"train": 1 - options.validation, "val": options.validation}
    inner = iter(by_fraction(rest, shares, seed=options.seed, where=f"{where}, fold {options.fold}"))
    return ["test" if part == f"fold{options.fold}" else next(inner) for part in parts]
