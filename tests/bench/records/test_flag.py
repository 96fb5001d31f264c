"""A flag is a record; what version 0.1 wrote as a text is read into the same fields."""

from __future__ import annotations

import json

import pytest

from bench.records import Flag, JobFacts

WHEN = {
    "not_steady: medians differ by 3 %: cap; close programs": (
        "medians differ by 3 %: cap",
        "close programs",
    ),
    "stop_rule: the cap was reached; with two unmet; use an idle machine": (
        "the cap was reached; with two unmet",
        "use an idle machine",
    ),
    "throttled: thermal bits were set": ("thermal bits were set", ""),
    "blocks_rejected: 3 of 12 blocks were disturbed and left out; the rest is used": (
        "3 of 12 blocks were disturbed and left out; the rest is used",
        "",
    ),
    "implausible_device_time: events say 2 ms; the events are on another stream": (
        "events say 2 ms; the events are on another stream",
        "",
    ),
}


@pytest.mark.parametrize("text", WHEN)
def test_a_flag_that_was_a_text_is_read_into_what_was_seen_and_what_to_do(text):
    facts = JobFacts.from_json(json.dumps({"flags": [text], "invalid": [text]}))
    name, (seen, advice) = text.partition(":")[0], WHEN[text]
    assert facts.flags == facts.invalid == (Flag(name=name, seen=seen, advice=advice),)
    assert str(facts.flags[0]) == text


def test_a_text_without_a_name_is_a_note():
    assert Flag.from_json('"something odd"') == Flag(name="note", seen="something odd")


def test_a_summary_of_0_1_called_the_advice_a_recommendation():
    assert Flag.from_json('{"name": "a", "seen": "b", "recommendation": "c"}') == Flag(name="a", seen="b", advice="c")


def test_semicolons_of_a_new_flag_stay_where_they_are():
    flag = Flag(name="blocks_rejected", seen="one; two; three")
    assert Flag.from_json(flag.to_json()) == flag
    assert JobFacts.from_json(JobFacts(flags=(flag,)).to_json()).flags == (flag,)
