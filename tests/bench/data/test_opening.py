"""Naming a data set on the command line: by name and --set, or by a suite."""

from __future__ import annotations

import pytest

from bench.data.opening import Choice, opened
from tests.bench.data.miniatures import bench_data, copied, entries, refused, written
from tests.bench.suites import SHAPES, perfect, write_suite

TINY = {"size": [32, 32], "train": 2, "val": 1, "test": 1}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def suite(tmp_path):
    datasets = [
        {**SHAPES, "label": "tiny", "options": TINY},
        {**SHAPES, "label": "small", "options": {**TINY, "train": 5}},
    ]
    return write_suite(tmp_path, [perfect()], datasets=datasets)


def test_a_suites_data_set_is_checked_under_its_label(capsys, suite):
    code, out, _ = bench_data(capsys, "check", "--suite", suite, "--dataset", "small")
    assert code == 0
    assert out.splitlines()[-1].startswith("small: nothing wrong in 7 images (train 5, val 1, test 1)")


def test_settings_go_over_the_options_of_the_suite(capsys, suite):
    _, out, _ = bench_data(capsys, "check", "--suite", suite, "--dataset", "small", "--set", "val=3")
    assert out.splitlines()[-1].startswith("small: nothing wrong in 9 images (train 5, val 3, test 1)")


def test_the_only_data_set_of_a_suite_needs_no_label(capsys, tmp_path):
    suite = write_suite(tmp_path, [perfect()])
    assert bench_data(capsys, "check", "--suite", suite)[0] == 0


def test_several_data_sets_need_a_label(capsys, suite):
    message = refused(capsys, "check", "--suite", suite)
    assert message == f"{suite} has 2 data sets; choose one with --dataset: tiny, small"


def test_an_unknown_label_is_refused_with_the_nearest(capsys, suite):
    message = refused(capsys, "stats", "--suite", suite, "--dataset", "smal")
    assert message == f"{suite} has no data set labelled 'smal'. Did you mean 'small'? It has: tiny, small"


def test_a_data_set_is_named_once(capsys, suite):
    message = refused(capsys, "check", "shapes", "--suite", suite)
    assert message == f"the data set is named twice, as 'shapes' and by --suite {suite}; give one of them."


def test_no_data_set_is_refused(capsys):
    message = refused(capsys, "check")
    assert message == "no data set given. Name one of bench list datasets, or give --suite FILE --dataset LABEL."


def test_a_label_without_a_suite_is_refused(capsys):
    message = refused(capsys, "check", "--dataset", "tiny")
    assert message == "--dataset 'tiny' names a data set of a suite; give the suite with --suite FILE."


@pytest.mark.parametrize("action", ["info", "check", "stats", "preview"])
def test_an_unknown_name_is_refused_with_the_nearest(capsys, action):
    message = refused(capsys, action, "cityscape")
    assert message == "no data set named 'cityscape'. Did you mean 'cityscapes'? List them with: bench list datasets"


@pytest.mark.parametrize("action", ["info", "check"])
def test_an_unknown_option_is_refused_with_the_nearest(capsys, action):
    message = refused(capsys, action, "voc", "--set", "rot=x")
    assert message == (
        "--set: voc has no option 'rot'. Did you mean 'root'? Its options: root, augmented, classes; and as every data "
        "set of files: fractions, group, seed, split_by, stratify, folds, fold, validation, pool, orientation, bands, "
        "range, rgb, depth"
    )


def test_a_value_of_the_wrong_kind_is_refused(capsys):
    message = refused(capsys, "check", "shapes", "--set", "train=many")
    assert message == (
        "--set: option train of shapes: input should be a valid integer, unable to parse string as an integer; "
        "given: 'many'. What it means: bench data info shapes"
    )


def test_a_setting_without_a_value_is_refused(capsys):
    message = refused(capsys, "check", "voc", "--set", "root")
    assert message == "--set 'root' is not of the form key=value, for example --set root=data/mine"


def test_a_setting_given_twice_is_refused(capsys):
    message = refused(capsys, "check", "voc", "--set", "root=a", "--set", "root=b")
    assert message == "--set root is given twice; an option has one value."


def test_a_value_that_is_no_yaml_is_refused(capsys):
    message = refused(capsys, "check", "folder", "--set", "patterns={a: [")
    assert message == (
        "--set 'patterns={a: [': '{a: [' is no value in YAML; put text with signs such as : or { in quotes."
    )


def test_missing_files_are_told_with_the_way_to_get_them(capsys, tmp_path):
    message = refused(capsys, "check", "pets", "--set", "root=here")
    assert message.startswith(f"pets: nothing at {tmp_path / 'here'}")
    assert "set the data set's option root" in message


LABELS = {"merge": {"object": ["disc", "ring"], "scenery": ["ground", "sky"]}, "rest": "background"}


@pytest.fixture
def mapped(tmp_path):
    """A suite that makes three classes of the ten of shapes."""
    return write_suite(tmp_path, [perfect()], datasets=[{**SHAPES, "label": "tiny", "options": TINY, "labels": LABELS}])


def test_stats_are_of_the_classes_that_the_suite_scores(capsys, mapped):
    code, out, _ = bench_data(capsys, "stats", "--suite", mapped)
    rows = [line.split()[0] for line in out.split("area px")[1].splitlines() if line and line[0].isalpha()]
    assert code == 0
    assert {"background", "object", "scenery"} <= set(rows)
    assert not {"disc", "ring", "ground", "sky"} & set(rows)


@pytest.mark.slow
def test_what_was_seen_is_remembered_for_each_mapping_of_classes_apart(capsys, tmp_path):
    exported = written("voc", tmp_path / "voc")
    things = [spec.name for spec in opened(Choice("voc", "voc", dict(exported.options))).classes[1:]]
    tables = []
    for members in (things, things[:1]):  # two mappings to classes of the same names
        labels = {"merge": {"object": members}, "rest": "background"}
        datasets = [{"name": "voc", "options": dict(exported.options), "labels": labels}]
        suite = write_suite(tmp_path, [perfect()], datasets=datasets)
        assert bench_data(capsys, "stats", "--suite", suite)[0] == 0
        tables.append(bench_data(capsys, "stats", "--suite", suite)[1])
    assert tables[0] != tables[1]


def test_files_are_named_in_findings_about_mapped_classes(capsys, tmp_path):
    exported = written("voc", tmp_path / "voc")
    choice = copied(exported, tmp_path / "copy")
    image = entries(choice, "val")[0].image
    image.write_bytes(b"no picture")
    suite = write_suite(
        tmp_path,
        [perfect()],
        datasets=[
            {
                "name": "voc",
                "label": "mapped",
                "options": choice.options,
                "labels": {"classes": ["background", "cat"], "rest": "ignore"},
            }
        ],
    )
    code, out, _ = bench_data(capsys, "check", "--suite", suite)
    assert code == 1
    assert f"{image} cannot be read: it is no image of a known format" in out


def test_labels_that_do_not_fit_are_refused_with_the_suite_and_the_nearest_name(capsys, tmp_path):
    datasets = [{**SHAPES, "label": "tiny", "labels": {"classes": ["discs"], "rest": "ignore"}}]
    suite = write_suite(tmp_path, [perfect()], datasets=datasets)
    message = refused(capsys, "stats", "--suite", suite)
    assert message.startswith(
        f"{suite}: data set 'tiny': labels.classes: the data set has no class 'discs'. Did you mean 'disc'?"
    )


def test_a_root_in_a_suite_starts_from_the_folder_of_the_suite_as_in_a_run(capsys, tmp_path, monkeypatch):
    (tmp_path / "suites").mkdir()
    suite = write_suite(tmp_path / "suites", [perfect()], datasets=[{"name": "voc", "options": {"root": "../mine"}}])
    monkeypatch.chdir(tmp_path)
    written("voc", tmp_path / "mine")
    code, out, _ = bench_data(capsys, "check", "--suite", suite)
    assert (code, out.splitlines()[-1]) == (0, "voc: nothing wrong in 30 images (train 20, val 6, test 4); 4 notes")
