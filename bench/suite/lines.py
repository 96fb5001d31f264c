"""Finds the line of its file where a suite says something, for messages about what is found once it is expanded."""

from __future__ import annotations

from pathlib import Path

from bench.suite.load import Lines, line_numbers
from bench.suite.schema import Suite


class SuiteLines:
    """Lines of a suite file; what a suite inherits by `extends` has none.

    Args:
        lines: Path in the document -> line, from 1.
        labels: Labels of the models, in the order of the suite.
    """

    def __init__(self, lines: Lines, labels: tuple[str, ...] = ()) -> None:
        self._lines, self._labels = lines, labels

    @classmethod
    def of(cls, suite: Suite, source: Path) -> SuiteLines:
        """Read the file of a loaded suite once more."""
        return cls(line_numbers(source), tuple(entry.label or entry.name for entry in suite.models))

    def at(self, *where: str | int) -> str:
        """Return ` (line 7)` for a path in the document, such as `"metrics", 0`; empty where it has no line."""
        line = self._lines.get(where)
        return f" (line {line})" if line else ""

    def of_model(self, label: str) -> str:
        """Return the line of the model of a case, whose label may end in its seed or its prompt."""
        found = [i for i, own in enumerate(self._labels) if label == own or label.startswith(f"{own} ")]
        return self.at("models", max(found, key=lambda i: len(self._labels[i]))) if found else ""

    def of_recipe(self, field: str) -> str:
        """Return the line of a field of the suite's recipe, or of the recipe where the field has none."""
        return self.at("recipe", field) or self.at("recipe")
