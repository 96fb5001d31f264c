"""Records say what they cannot hold."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.records import Flag


def test_a_name_that_is_not_utf_8_is_told_and_not_written():
    flag = Flag(name="n", seen="caf\udce9.yaml was seen")
    with pytest.raises(
        BenchError, match=r"caf\\udce9\.yaml was seen is not text in UTF-8, in which records are written"
    ):
        flag.to_json()
