"""Tests that what an adapter of this tree needs is in an extra, so that `make install` installs a fitting version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.records.names import harness_root

ROOT = harness_root()
FILES = sorted((ROOT / "adapters").glob("*/requirements.txt"))
FROM_THE_MAKEFILE = {"sal-detectron2"}


def requirements(file: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def names_in_extras() -> set[str]:
    if sys.version_info < (3, 11):
        pytest.skip("tomllib came with Python 3.11")
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [project["dependencies"], *project["optional-dependencies"].values()]
    return {canonicalize_name(Requirement(line).name) for lines in found for line in lines}


@pytest.mark.parametrize("file", FILES, ids=[file.parent.name for file in FILES])
def test_an_adapters_packages_are_in_an_extra_and_pinned_to_a_version_that_fits(file: Path):
    offered = names_in_extras()
    pinned = {canonicalize_name(pin.name): str(pin.specifier) for pin in requirements(ROOT / "constraints.txt")}
    for one in requirements(file):
        name = canonicalize_name(one.name)
        if name in FROM_THE_MAKEFILE:
            assert f"{name}==" in (ROOT / "Makefile").read_text(encoding="utf-8")
            continue
        assert name in offered, f"{name} is in no extra of pyproject.toml"
        assert name in pinned, f"{name} is not in constraints.txt"
        assert one.specifier.contains(pinned[name].removeprefix("=="), prereleases=True)
