"""A table of text, which each form of a report lays out in its way."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from bench.report.draw.numbers import MISSING


class TextTable:
    """Cells in rows below headings.

    Attributes:
        columns: The headings, in order.
        rows: Cells of each row, in the order of the headings.
    """

    def __init__(self, entries: Iterable[Mapping[str, str]] = (), *, missing: str = MISSING) -> None:
        """Take a cell by its heading for each row; what a row does not have is `missing`.

        >>> table = TextTable([{"model": "a", "mIoU": "0.5"}, {"model": "b"}])
        >>> table.columns, table.rows
        (['model', 'mIoU'], [['a', '0.5'], ['b', '–']])
        """
        listed = [*entries]
        self.columns = [*dict.fromkeys(name for entry in listed for name in entry)]
        self.rows: list[list[str]] = [[entry.get(name, missing) for name in self.columns] for entry in listed]

    @classmethod
    def of_columns(cls, cells: Mapping[str, Sequence[str]]) -> TextTable:
        """Return the table of columns of one length."""
        return cls(dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, column: str) -> list[str]:
        """Return the cells of a column."""
        place = self.columns.index(column)
        return [row[place] for row in self.rows]

    def __contains__(self, column: object) -> bool:
        """Return whether there is such a column."""
        return column in self.columns

    def records(self) -> list[dict[str, str]]:
        """Return each row as its cells by their headings."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def without_missing(self, columns: Container[str] | None = None) -> TextTable:
        """Return the table without columns that have no cell but `MISSING`, of all or of those that are named."""
        kept = [
            name
            for name in self.columns
            if set(self[name]) != {MISSING} or (columns is not None and name not in columns)
        ]
        return TextTable({name: record[name] for name in kept} for record in self.records())
