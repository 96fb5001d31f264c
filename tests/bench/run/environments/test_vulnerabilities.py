"""Known vulnerabilities are found by OSV's own rule, in every form in which a database may lie here."""

from __future__ import annotations

import json
import zipfile

import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.run.environments.interpreters import Inventory
from bench.run.environments.vulnerabilities import vulnerabilities_of


def entry(*events, name="Some_Package", versions=(), **more):
    affected = {
        "package": {"ecosystem": "PyPI", "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": list(events)}],
        "versions": list(versions),
    }
    return {"id": "PYSEC-1", "aliases": ["CVE-1"], "summary": "bad", "affected": [affected], **more}


def installed(version, name="some-package"):
    return Inventory("CPython", "3.11", [{"name": name, "version": version}])


def found(tmp_path, document, version):
    database = tmp_path / "osv.json"
    database.write_text(json.dumps(document))
    return vulnerabilities_of(installed(version), database)


TWICE = ({"introduced": "0"}, {"fixed": "1.2"}, {"introduced": "2.0"}, {"fixed": "2.0.10"})


@pytest.mark.parametrize(
    ("version", "affected"),
    [("0.1", True), ("1.1.9", True), ("1.2", False), ("1.10", False), ("2.0rc1", False), ("2.0", True),
     ("2.0.9", True), ("2.0.10", False), ("3", False)],
)  # fmt: skip
def test_a_version_is_affected_between_introduced_and_fixed(tmp_path, version, affected):
    assert bool(found(tmp_path, [entry(*TWICE)], version)) is affected


@pytest.mark.parametrize(("version", "affected"), [("1.5", True), ("1.6", False)])
def test_the_last_affected_version_still_is(tmp_path, version, affected):
    assert bool(found(tmp_path, entry({"introduced": "1"}, {"last_affected": "1.5"}), version)) is affected


def test_versions_that_are_listed_are_affected_and_withdrawn_entries_and_other_ecosystems_are_not(tmp_path):
    listed = entry(versions=["7.0"])
    assert found(tmp_path, listed, "7.0")[0].id == "PYSEC-1, CVE-1"
    assert found(tmp_path, {**listed, "withdrawn": "2026-01-01T00:00:00Z"}, "7.0") == []
    listed["affected"][0]["package"]["ecosystem"] = "npm"
    assert found(tmp_path, listed, "7.0") == []


def test_a_folder_a_zip_and_json_lines_say_the_same(tmp_path):
    text = json.dumps(entry(*TWICE))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "PYSEC-1.json").write_text(text)
    (tmp_path / "all.jsonl").write_text(text + "\n" + text + "\n")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("PYSEC-1.json", text)
    for database in ("folder", "all.jsonl", "all.zip"):
        (one,) = vulnerabilities_of(installed("1.0"), tmp_path / database)
        assert one.fixed_in == ("1.2", "2.0.10")


@pytest.mark.parametrize("text", ["", "[", "[]", "7", '{"id": 7}', "[" * 100_000])
def test_what_is_no_database_is_told(tmp_path, text):
    (tmp_path / "osv.json").write_text(text)
    with pytest.raises(BenchError, match=r"osv\.json"):
        vulnerabilities_of(installed("1.0"), tmp_path / "osv.json")


def test_the_command_lists_licences_and_fails_for_a_match(tmp_path, capsys):
    assert main(["env", "licences"]) == 0
    assert any(line.startswith("numpy ") and "BSD" in line for line in capsys.readouterr().out.splitlines())
    (tmp_path / "osv.json").write_text(json.dumps(entry({"introduced": "0"}, name="numpy")))
    assert main(["env", "licences", "--vulnerabilities", str(tmp_path / "osv.json")]) == 1
    assert "PYSEC-1, CVE-1" in capsys.readouterr().out
