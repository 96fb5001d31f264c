"""The bill of materials: valid CycloneDX, complete, and the same text for the same packages."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from bench.run.environments.interpreters import Inventory, inventory, normal_name
from bench.run.environments.sbom import bill_of_materials


def package(name: str, version: str, **metadata: object) -> dict[str, object]:
    return {
        "name": name,
        "version": version,
        "expression": "",
        "licence": "",
        "classifiers": [],
        "summary": "",
        **metadata,
    }


def bill(*packages: dict[str, object], used_by: str = "unet") -> dict[str, object]:
    return bill_of_materials([(Inventory("CPython", "3.11.8", list(packages)), [used_by])])


def test_the_bill_of_the_running_interpreter_keeps_the_schema():
    validation = pytest.importorskip(
        "cyclonedx.validation.json", reason="cyclonedx-python-lib, which brings the schema, is not installed"
    )
    from cyclonedx.schema import SchemaVersion

    made = bill_of_materials([(inventory(Path(sys.executable)), ["bench", "unet"])])
    wrong = validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made))
    assert wrong is None, wrong


def test_every_package_of_the_interpreter_is_listed_once_in_the_version_it_has():
    made = bill_of_materials([(inventory(Path(sys.executable)), ["bench"])])
    listed = [(c["name"], c["version"]) for c in made["components"] if c["type"] == "library"]
    # The path of a fresh interpreter: what other tests import may have put private copies of packages on this one's.
    asked = subprocess.run([sys.executable, "-c", "import json, sys; print(json.dumps(sys.path))"], capture_output=True)
    found = distributions(path=json.loads(asked.stdout))
    there = {(normal_name(d.metadata["Name"]), d.version) for d in found if d.metadata["Name"]}
    assert len(set(listed)) == len(listed)
    assert set(listed) == {pair for pair in there if pair[0] != "segbench"}


def test_a_local_version_is_escaped_in_the_address():
    (component,) = (c for c in bill(package("Torch", "2.4.0+cpu"))["components"] if c["name"] == "torch")
    assert component["purl"] == "pkg:pypi/torch@2.4.0%2Bcpu"


@pytest.mark.parametrize(
    ("metadata", "licences"),
    [
        ({"expression": "BSD-3-Clause"}, [{"expression": "BSD-3-Clause"}]),
        ({"licence": "MIT"}, [{"license": {"name": "MIT"}}]),
        ({"licence": "Permission is hereby granted\nto any person"}, None),
        (
            {"classifiers": ["License :: OSI Approved", "License :: OSI Approved :: Apache Software License"]},
            [{"license": {"name": "Apache Software License"}}],
        ),
        ({}, None),
    ],
)
def test_licences_are_what_the_metadata_say(metadata, licences):
    (component,) = (c for c in bill(package("a", "1", **metadata))["components"] if c["name"] == "a")
    assert component.get("licenses") == licences


def test_a_package_that_two_interpreters_share_is_listed_once_with_both():
    shared = Inventory("CPython", "3.11.8", [package("numpy", "2.0")])
    made = bill_of_materials([(shared, ["unet"]), (shared, ["smp"])])
    (component,) = (c for c in made["components"] if c["name"] == "numpy")
    assert [one["value"] for one in component["properties"]] == ["smp", "unet"]


def test_the_same_packages_give_the_same_text_and_others_another_number():
    packages = [package("a", "1"), package("b", "2")]
    assert bill(*packages) == bill(*reversed(packages))
    assert bill(*packages)["serialNumber"] != bill(package("a", "1"), package("b", "3"))["serialNumber"]
