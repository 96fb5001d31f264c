"""Tests what `labels:` makes of a data set's classes, and its messages about usage errors."""

from __future__ import annotations

import json

import pytest

from bench.data.labels.selection import selected
from bench.errors import BenchError, SuiteError
from bench.records import ClassSpec, Labels
from bench.suite.load import load_suite

THINGS = {"car", "truck"}
CLASSES = tuple(
    ClassSpec(name=name, is_thing=name in THINGS, colour=(i, i, i))
    for i, name in enumerate(("road", "sidewalk", "sky", "car", "truck"))
)


def table(**labels):
    return selected(Labels.from_json(json.dumps(labels)), CLASSES)


def names(found):
    return [(spec.name, spec.is_thing) for spec in found.classes]


def test_classes_are_kept_in_the_order_of_the_suite_and_the_rest_is_void():
    found = table(classes=["car", "road"], rest="ignore")
    assert names(found) == [("car", True), ("road", False)]
    assert found.ids == (1, 255, 255, 0, 255)


def test_merged_classes_are_what_their_members_are_and_look_like_the_first():
    found = table(merge={"vehicle": ["truck", "car"], "flat": ["road", "sidewalk"]}, drop=["sky"])
    assert names(found) == [("vehicle", True), ("flat", False)]
    assert found.ids == (1, 1, 255, 0, 0)
    assert found.classes[0].colour == (3, 3, 3)


def test_the_rest_as_background_is_class_0_and_stuff():
    found = table(classes=["car"], rest="background")
    assert names(found) == [("background", False), ("car", True)]
    assert found.ids == (0, 0, 0, 1, 0)


def test_the_rest_is_kept_after_what_is_merged():
    found = table(merge={"vehicle": ["car", "truck"]}, rest="keep")
    assert [name for name, _ in names(found)] == ["vehicle", "road", "sidewalk", "sky"]


def test_things_merged_with_stuff_are_what_the_suite_says():
    merge = {"all": ["road", "car"]}
    assert names(table(merge=merge, rest="ignore", stuff=["all"])) == [("all", False)]
    assert names(table(merge=merge, rest="ignore", things=["all"])) == [("all", True)]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"classes": ["rode"], "rest": "ignore"}, r"labels\.classes: the data set has no class 'rode'\. Did you mean"),
        ({"classes": ["car"]}, "'road', 'sidewalk', 'sky', 'truck' are in none of classes, merge and drop"),
        ({"classes": ["car"], "merge": {"v": ["car"]}, "rest": "ignore"}, r"labels\.merge\.v: class 'car' has been"),
        ({"merge": {"all": ["road", "car"]}, "rest": "ignore"}, r"merges things \('car'\) with stuff \('road'\)"),
        ({"merge": {"sky": ["car"]}, "rest": "keep"}, "two of the new classes are called 'sky'"),
        ({"drop": ["sky"], "rest": "ignore"}, "no class is left"),
        ({"rest": "keep", "things": ["cars"]}, "'cars' is none of the new classes. Did you mean 'car'"),
        ({"merge": {"v": []}, "rest": "ignore"}, r"labels\.merge\.v: is empty"),
    ],
)
def test_a_usage_error_is_told_with_where_it_is(labels, message):
    with pytest.raises(BenchError, match=message):
        table(**labels)


def test_a_word_in_place_of_a_list_of_classes_is_explained(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("models: [fake/perfect]\ndatasets: [{name: shapes, labels: {classes: [a], drop: ignore}}]\n")
    with pytest.raises(SuiteError, match=r"datasets\[0\]\.labels\.drop \(line 2\).*did you mean rest: ignore"):
        load_suite(path)


def test_a_suite_with_labels_and_a_list_of_trained_classes_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(
        "models: [{name: fake/perfect, trained_on: [a, b], synonyms: {a: v}}]\n"
        "datasets: [{name: shapes, labels: {merge: {v: [car, truck]}, rest: background, things: [v]}}]\n"
    )
    suite = load_suite(path)
    assert suite.models[0].trained_on == ("a", "b")
    assert suite.datasets[0].labels == Labels(merge={"v": ("car", "truck")}, rest="background", things=("v",))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("labels: {merge: {v: car}}", r"labels\.merge \(line 2\): v: expected a list of class names"),
        ("labels: {rest: drop}", r"labels\.rest \(line 2\): input should be 'error', 'ignore'"),
    ],
)
def test_a_value_of_the_wrong_form_is_told_with_its_line(tmp_path, entry, message):
    path = tmp_path / "x.yaml"
    path.write_text(f"models: [fake/perfect]\ndatasets: [{{name: shapes, {entry}}}]\n")
    with pytest.raises(SuiteError, match=message):
        load_suite(path)


def test_an_unknown_key_of_labels_is_refused_with_the_nearest(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("models: [fake/perfect]\ndatasets: [{name: shapes, labels: {clases: [a]}}]\n")
    with pytest.raises(SuiteError, match="Did you mean 'classes'"):
        load_suite(path)
