"""Suites that nobody writes by intention: each is refused with its file named, in no time."""

from __future__ import annotations

import pytest

from bench.data.formats.documents import MAX_DEPTH, read_limited
from bench.data.formats.home import expanded
from bench.errors import BenchError, SuiteError
from bench.suite.load import load_suite

SOUND = "models: [fake/perfect]\ndatasets: [shapes]\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
REFUSED = {
    "an alias within itself": "title: &a [*a]\n",
    "a key within itself": "title: &a {*a : 1}\n",
    "a bomb": BOMB,
    "a bomb by merging": "a: &a {x: 1}\n" + "".join(f"b{n}: {{<<: *a}}\n" for n in range(3)) + BOMB,
    "deep lists": f"title: {'[' * 2000}\n",
    "deep mappings": f"title: {'{a: ' * 2000}\n",
    "deep by aliases": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100)),
    "an integer of 5,000 digits": f"seed: {'9' * 5000}\n",
    "an integer of 100 digits": f"seed: {'9' * 100}\n",
    "a hexadecimal integer": f"seed: 0x{'f' * 5000}\n",
    "a NUL in a path": 'extends: "a\\0"\n',
    "half a surrogate pair": 'title: "\\uD800"\n',
    "an odd unknown key": "null yaml-language-server: 1\n",
    "an unknown key with a capital": "Models: 1\n",
    "no percentiles": "measurement: {percentiles: []}\n",
    "a percentile that is none": "measurement: {percentiles: [.nan]}\n",
    "a percentile above 100": "measurement: {percentiles: [101]}\n",
    "an absurd size": "targets: [{image_size: [1000000000, 1000000000]}]\n",
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_suite_that_would_cost_the_machine_or_end_in_a_traceback_is_refused(tmp_path, what):
    file = tmp_path / "s.yaml"
    file.write_text(REFUSED[what] + SOUND, encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        load_suite(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "name",
    ["", "*", "a?", "../../x", "..", ".", "/x", "a/b", "a\\b", "x" * 300, "é" * 60, " a", "a.", ".a", "-a", "~a"],
)
def test_a_name_that_is_not_one_folder_is_refused(tmp_path, name):
    file = tmp_path / "s.yaml"
    file.write_text(f"name: '{name}'\n{SOUND}", encoding="utf-8")
    with pytest.raises(SuiteError, match="the name of one folder"):
        load_suite(file)


@pytest.mark.parametrize("name", ["cpu", "a[1]", "my suite", "模型", "a.b-c_d+e=f@g"])
def test_a_plain_name_is_taken(tmp_path, name):
    file = tmp_path / "s.yaml"
    file.write_text(f"name: '{name}'\n{SOUND}", encoding="utf-8")
    assert load_suite(file).name == name


def test_aliases_within_the_limits_are_what_they_stand_for():
    assert read_limited("a: &x [1, 2]\nb: *x\nc: {<<: &y {d: 3}}") == {"a": [1, 2], "b": [1, 2], "c": {"d": 3}}
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert str(read_limited(deep)).replace(" ", "") == deep
    assert read_limited("[9223372036854775807, -9223372036854775807, '99999999999999999999']")[0] == 2**63 - 1


def test_the_home_of_nobody_is_refused():
    with pytest.raises(BenchError, match="there is no user 'nobodysuch'"):
        expanded("~nobodysuch/x")
