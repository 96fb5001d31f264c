"""Holds a suite while it is checked: its cases, what became of its data sets, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.dataset import Dataset
from bench.errors import UsageErrors
from bench.measure.devices import Machine
from bench.records import Case
from bench.suite.load import SuiteLines
from bench.suite.schema import Suite


@dataclass
class Checking:
    """A suite that is being checked.

    Attributes:
        suite: Suite as loaded.
        lines: Its file, and the lines of it.
        machine: The machine that will run it.
        cases: Cases of the suite; none where it does not expand.
        probes: Cases with the extremes of a search in their recipes, about which adapters are asked, too.
        usage_errors: Gets a paragraph for each thing that is wrong.
        opened: Opened data sets by label.
        unopened: Data sets without files, but with their classes, by label.
        absent: Missing thing -> labels of the data sets that miss it.
        notes: Sentences on what is to be known of their files, and on what will not be done as it is asked for.
        data_notes: Label of a data set -> sentences on what was inferred, converted or passed over in it.
    """

    suite: Suite
    lines: SuiteLines
    machine: Machine
    cases: tuple[Case, ...] = ()
    probes: tuple[Case, ...] = ()
    usage_errors: UsageErrors = field(default_factory=UsageErrors)
    opened: dict[str, Dataset] = field(default_factory=dict)
    unopened: dict[str, Dataset] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    data_notes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """Return the suite's file."""
        return self.lines.source

    def wrong(self, where: Sequence[str | int], sentence: str) -> None:
        """Note a sentence on a path in the suite, such as `"metrics", 0`."""
        self.usage_errors.note(f"{self.lines.place(*where)}{sentence}")

    def wrong_model(self, label: str, sentence: str) -> None:
        """Note a sentence on a model of the suite."""
        self.usage_errors.note(f"{self.source}: {label}{self.lines.of_model(label)}: {sentence}")

    def wrong_data(self, label: str, sentence: str) -> None:
        """Note a sentence on a data set of the suite."""
        self.usage_errors.note(f"{self.about([label])}{sentence}")

    def about(self, labels: Sequence[str]) -> str:
        """Return the words before what is wrong with data sets."""
        names = " and ".join(repr(label) for label in labels)
        return f"{self.source}: data set{'s' if len(labels) > 1 else ''} {names}: "


def channels_of(dataset: Dataset) -> int:
    """Return channels of its images: 3, RGB, unless bands are declared."""
    bands = getattr(dataset, "bands", None)
    return 3 if bands is None else int(bands.channels)
