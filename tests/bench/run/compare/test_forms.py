"""Every form says the same, first what differs, and no name breaks it."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from bench.run.compare.forms import FORMS
from bench.run.compare.gate import parsed_gate
from bench.run.compare.verdicts import compare
from tests.bench.run.compare.test_verdicts import HARD, side

ODD = 'a|b <script>"\n\x1b[31m'


@pytest.fixture
def found():
    gate = parsed_gate({"mean_iou": "-1pt", "end_to_end_p50": "+3%"}, "gate")
    return compare(side(ODD, right=HARD, label=ODD), [side("b", right=HARD - 40, label=ODD, machine="two")], gate)


def test_markdown_begins_with_the_answer_and_says_what_differs_before_any_number(found):
    text = FORMS["markdown"](found, gated=True)
    assert text.startswith("**The gate fails: mean_iou of a\\|b &lt;script>")
    assert text.index("machine: one → two") < text.index("| mean_iou ")
    assert "**REGRESSED**" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 1


def test_a_terminal_ends_with_the_answer_and_gets_no_control_characters(found):
    text = FORMS["terminal"](found, gated=True)
    assert text.rstrip().splitlines()[-1].startswith("The gate fails: ")
    assert "\x1b" not in text


def test_json_holds_every_finding(found):
    content = json.loads(FORMS["json"](found, gated=True))
    assert content["regressed"] is True
    (one,) = (f for f in content["comparisons"][0]["findings"] if f["quantity"] == "mean_iou")
    assert one["verdict"] == "worse"
    assert one["high"] < 0


def test_junit_fails_the_tests_that_the_gate_fails_and_skips_what_was_not_compared(found):
    suite = ElementTree.fromstring(FORMS["junit"](found, gated=True)).find("testsuite")
    assert (suite.get("failures"), suite.get("tests")) == ("1", "3")
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    skipped = [case.get("name") for case in suite if case.find("skipped") is not None]
    assert (failed, skipped) == (["mean_iou"], ["end_to_end_p50", "peak_host_mib"])


def test_without_a_gate_nothing_fails():
    (one,) = compare(side("a", right=HARD), [side("b", right=HARD - 40)], None)
    assert one.regressions == ()
    assert "1 worse" in FORMS["terminal"]([one], gated=False)
