"""Which cases a pattern names: literally first, then with wildcards."""

from __future__ import annotations

import pytest

from bench.records.store.selection import named_cases
from tests.bench.builders import make_case, make_model

LABELS = ("a", "[a]", "b", "a*", "ab", "unet (x)")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[a]", {"[a]"}),
        ("a*", {"a*"}),
        ("a?", {"a*", "ab"}),
        ("*b", {"b", "ab"}),
        ("[b]", {"b"}),
        ("unet (x)", {"unet (x)"}),
        ("c", set()),
    ],
)
def test_a_pattern_that_is_a_name_names_that_alone(pattern, expected):
    cases = [make_case(id=f"{label}@shapes@cpu", model=make_model(label=label)) for label in LABELS]
    assert named_cases(cases, pattern) == {case.id for case in cases if case.model.label in expected}
