"""`bench data info` and `bench list datasets`: what a data set is, what of it is here, and how to get the rest."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping, Sequence
from types import ModuleType

from pydantic import ValidationError
from tabulate import tabulate

from bench.data.formats.by_name import classes_without_files, parted
from bench.data.labels.dataset import on_disk
from bench.data.opening import Choice, as_yaml, module_of, opened
from bench.dataset import Dataset, dataset_names
from bench.errors import DatasetError

LONGEST_TERMS = 110
"""Characters of the terms in a list; `info` has all of them."""


DATASET_HEADERS = ("data set", "label types", "terms", "description")


def dataset_rows() -> list[list[str]]:
    """Return every data set with its label types, its terms and its one line, as `DATASET_HEADERS` names them."""
    rows = []
    for name in dataset_names():
        module = module_of(name)
        short = textwrap.shorten(module.LICENCE, LONGEST_TERMS, placeholder=" …")
        rows.append([name, ", ".join(module.TASKS), short, _document(module).splitlines()[0]])
    return rows


def published_counts(choice: Choice, dataset: Dataset | None = None) -> dict[str, int]:
    """Return split -> images that the source publishes, as far as it can be compared with what is here.

    A module says them as `EXPECTED`, by split, or by the value of an option and then by split
    (CamVid's variants), or as `EXPECTED_<OPTION>` where that option is true (VOC's `augmented`).
    With any other option but `root` the data set is a part or another project, and so it is where files give
    the data set, opened, other classes than the published ones: nothing is expected.
    """
    files = None if dataset is None else on_disk(dataset)
    known = None if files is None else classes_without_files(choice.name, choice.options)
    if files is not None and known is not None and [c.name for c in known] != [c.name for c in files.classes]:
        return {}
    module = module_of(choice.name)
    table: Mapping[str, object] = getattr(module, "EXPECTED", {})
    set_options = {key: value for key, value in choice.options.items() if key != "root"}
    by_value = bool(table) and all(isinstance(value, dict) for value in table.values())
    if by_value:
        selector = next(f for f, field in module.Options.model_fields.items() if field.default in table)
        chosen = table.get(str(set_options.pop(selector, module.Options.model_fields[selector].default)))
        table = chosen if isinstance(chosen, dict) else {}
    for key in [key for key, value in set_options.items() if value is True]:
        if hasattr(module, f"EXPECTED_{key.upper()}"):
            table = getattr(module, f"EXPECTED_{key.upper()}")
            set_options.pop(key)
    defaults = {key: field.default for key, field in module.Options.model_fields.items()}
    # An option that is not the data set's own makes other splits.
    if any(value != defaults.get(key) for key, value in set_options.items()):
        return {}
    return {split: count for split, count in table.items() if isinstance(count, int)}


def info(choice: Choice) -> str:
    """Return all that is known about a data set, whether it is here or not.

    Raises:
        PluginError: If there is no such data set.
        DatasetError: If an option is wrong.
    """
    module = module_of(choice.name)
    title = f"{choice.label}\n{'=' * len(choice.label)}"
    facts = f"Source: {module.SOURCE}\nTerms: {module.LICENCE}"
    parts = [f"{title}\n{_document(module)}", facts, _options(module), *_fetchable(choice.name, module)]
    try:
        module.Options.model_validate(parted(choice.options, module.Options.model_fields)[0], strict=False)
    except ValidationError:
        opened(choice)  # tells which option is wrong
    try:
        dataset = opened(choice)
    except DatasetError as error:
        return "\n\n".join([*parts, f"Here: not found\n{_wrapped(str(error))}"])
    return "\n\n".join([*parts, *_here(choice, dataset)])


def _document(module: ModuleType) -> str:
    return inspect.cleandoc(module.__doc__ or "").strip()


def _options(module: ModuleType) -> str:
    """Return the options with their defaults, for `--set`."""
    defaults = module.Options().model_dump(mode="json")
    width = max(map(len, defaults), default=0)
    lines = [f"  {key:<{width}}  {as_yaml(value)}" for key, value in defaults.items()]
    return "\n".join(["Options and their defaults (change them with --set key=value)", *lines])


def _fetchable(name: str, module: ModuleType) -> list[str]:
    """Return what can be fetched by a command, if anything can."""
    if not hasattr(module, "PREPARE"):
        return []
    width = max(len(part.name) for part in module.PREPARE.parts)
    rows = [f"  {part.name:<{width}}  {part.what}" for part in module.PREPARE.parts]
    return ["\n".join([f"Fetch it with: bench data prepare {name} --out DIR; --part chooses", *rows])]


def listed_splits(dataset: Dataset) -> tuple[dict[str, int], dict[str, str]]:
    """Return the number of images of each split that can be listed, and why others cannot."""
    found, troubles = {}, {}
    for split in dataset.splits():
        try:
            found[split] = len(dataset.ids(split))
        except DatasetError as error:
            troubles[split] = str(error)
    return found, troubles


def _here(choice: Choice, dataset: Dataset) -> list[str]:
    """Return what was found: origin, splits and classes."""
    published = published_counts(choice, dataset)
    found, troubles = listed_splits(dataset)
    rows: list[Sequence[object]] = []
    for split in dict.fromkeys([*dataset.splits(), *published]):
        lacking = "cannot be listed" if split in troubles else "none"
        rows.append([split, found.get(split, lacking), *([published.get(split, "")] if published else [])])
    headers = ["split", "images found", *(["published"] if published else [])]
    alignment = ["left", *["right"] * (len(headers) - 1)]
    splits = tabulate(rows, headers=headers, tablefmt="simple", colalign=alignment)
    facts = f"Here\n  source: {dataset.source}\n  terms:  {dataset.licence}\n  ground truth: {', '.join(dataset.tasks)}"
    classes = tabulate(
        [
            [i, c.name, "thing" if c.is_thing else "stuff", "#{:02x}{:02x}{:02x}".format(*c.colour)]
            for i, c in enumerate(dataset.classes)
        ],
        headers=["id", "class", "kind", "colour"],
        tablefmt="simple",
        disable_numparse=True,
        colalign=["right", "left", "left", "left"],
    )
    return [facts, splits, *(_wrapped(f"{split}: {why}") for split, why in troubles.items()), classes]


def _wrapped(text: str) -> str:
    """Return a paragraph in lines; paths are left whole, so that they can be copied."""
    return textwrap.fill(text, 110, break_long_words=False, break_on_hyphens=False)
