"""Tables of text keep the order of rows and headings, and leave out what no row has."""

from __future__ import annotations

from bench.report.text_table import TextTable

ROWS = [{"a": "1", "b": "–"}, {"a": "–", "c": "3", "b": "–"}]


def test_headings_come_in_the_order_in_which_rows_bring_them():
    table = TextTable(ROWS)
    assert (table.columns, table.rows) == (["a", "b", "c"], [["1", "–", "–"], ["–", "–", "3"]])
    assert ("c" in table, "d" in table, table["c"], len(table)) == (True, False, ["–", "3"], 2)
    assert TextTable(ROWS, missing="").rows[0] == ["1", "–", ""]
    assert TextTable(table.records()).rows == table.rows


def test_columns_without_a_cell_are_left_out_all_of_them_or_those_that_are_named():
    assert TextTable(ROWS).without_missing().columns == ["a", "c"]
    assert TextTable(ROWS).without_missing(("c",)).columns == ["a", "b", "c"]
    assert TextTable(ROWS).without_missing(("b",)).columns == ["a", "c"]
    assert TextTable().without_missing().rows == []


def test_a_table_of_columns_is_that_of_its_rows():
    assert TextTable.of_columns({"a": ["1", "2"], "b": ["x", "y"]}).records() == [
        {"a": "1", "b": "x"},
        {"a": "2", "b": "y"},
    ]
