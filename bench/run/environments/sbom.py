"""A software bill of materials of the interpreters that a run used, in CycloneDX JSON.

Names, versions and licences are what the packages' own metadata say. Format: CycloneDX 1.6
(https://cyclonedx.org/docs/1.6/json/); package addresses: https://github.com/package-url/purl-spec.
The same packages give the same text, so that two bills can be compared as files.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from bench import __version__
from bench.run.environments.interpreters import Inventory, normal_name

_LONGEST_NAME = 120
"""This says where a package puts the whole text of its licence, that is no name of one."""


def bill_of_materials(used: Sequence[tuple[Inventory, Sequence[str]]]) -> dict[str, Any]:
    """Return the bill of some interpreters as JSON values.

    Args:
        used: Each with the names of the adapters that it ran, or `bench` for the harness itself. A
            package in one version is listed once, with the names of all that had it.
    """
    users: dict[str, list[str]] = {}
    components: dict[str, dict[str, Any]] = {}
    for interpreter, names in used:
        for component in [_interpreter(interpreter), *map(_package, interpreter.packages)]:
            components[component["bom-ref"]] = component
            users.setdefault(component["bom-ref"], []).extend(names)
    used_by = {ref: [{"name": "segbench:used_by", "value": name} for name in sorted(set(users[ref]))] for ref in users}
    listed = [{**components[ref], "properties": used_by[ref]} for ref in sorted(components)]
    harness = {"type": "application", "bom-ref": f"segbench@{__version__}", "name": "segbench", "version": __version__}
    body = {"metadata": {"component": harness}, "components": [c for c in listed if c["name"] != "segbench"]}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(body, sort_keys=True))}",
        "version": 1,
        **body,
    }


def _interpreter(found: Inventory) -> dict[str, Any]:
    ref = f"{found.implementation}@{found.version}"
    return {"type": "platform", "bom-ref": ref, "name": found.implementation, "version": found.version}


def _package(metadata: dict[str, Any]) -> dict[str, Any]:
    name, version = normal_name(metadata["name"]), metadata["version"]
    purl = f"pkg:pypi/{name}@{quote(version, safe='')}"
    component: dict[str, Any] = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
    if metadata["summary"]:
        component["description"] = metadata["summary"]
    licences = licences_of(metadata["expression"], metadata["licence"], metadata["classifiers"])
    return {**component, "licenses": licences} if licences else component


def licences_of(expression: str, licence: str, classifiers: Sequence[str]) -> list[dict[str, Any]]:
    """Return a package's licences as CycloneDX has them: an SPDX expression (PEP 639), else names, else nothing.

    >>> licences_of("MIT OR Apache-2.0", "", [])
    [{'expression': 'MIT OR Apache-2.0'}]
    >>> licences_of("", "UNKNOWN", ["License :: OSI Approved :: BSD License"])
    [{'license': {'name': 'BSD License'}}]
    """
    if expression:
        return [{"expression": expression}]
    plain = licence.strip()
    if plain and plain.upper() != "UNKNOWN" and "\n" not in plain and len(plain) <= _LONGEST_NAME:
        return [{"license": {"name": plain}}]
    names = [text.rpartition("::")[2].strip() for text in classifiers]
    return [{"license": {"name": name}} for name in dict.fromkeys(names) if name != "OSI Approved"]
