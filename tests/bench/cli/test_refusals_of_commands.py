"""Commands refuse what they cannot do with one paragraph and exit code 2; here those that no other test comes by."""

from __future__ import annotations

import json
import struct

import pytest

from bench.cli.commands.new._files import checked_name
from bench.cli.main import main
from bench.errors import BenchError
from bench.records.store.prediction_index import read_index
from bench.records.store.runs import newest_run, read_run
from bench.report.frames import RunFrames
from bench.report.summary.audit import _read_index
from bench.report.summary.columns import read_columns
from bench.run.audit.seal import SEAL, seal_differences, signer_of
from bench.run.compare.gate import load_gate, parsed_gate
from bench.run.environments.interpreters import Inventory
from bench.run.environments.vulnerabilities import vulnerabilities_of
from bench.run.predict.manifest import _read
from bench.run.predict.weight_files import kind_of
from tests.bench.suites import perfect, write_suite


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two small cases, predicted and scored."""
    folder = tmp_path_factory.mktemp("finished")
    models = [perfect(), perfect(label="second"), perfect(label="third")]
    suite = write_suite(folder, models, name="three")
    assert main(["run", str(suite), "--results", str(folder / "results"), "--kind", "predict"]) == 0
    return folder / "results"


def told(capsys, *words) -> str:
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "none"], "no run 'none' in"),
        (["report", "--case", "none"], "the run has no case 'none'. Its cases are:"),
        (["report", "--plots", "svg"], "--plots needs --out FOLDER/, where the plots go"),
        (["predict", "--case", "second"], "no images given; name folders, files, 'globs'"),
        (["predict", "--case", "*d", "a.png"], "--case '*d' names 2 cases; choose one by its id"),
        (["predict", "--case", "none", "a.png"], "no case 'none'. Its cases are:"),
        (["predict", "--case", "second", "--classes", "c.yaml", "a.png"], "a case of a run has its classes; leave"),
        (["score", "--predictions", "p", "--dataset", "shapes", "--suite", "s"], "leave RUN and --suite out"),
    ],
)
def test_words_that_fit_no_run(results, capsys, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    run = newest_run(results)
    if words[0] == "predict":
        words = ["predict", f"{run.suite}/{run.name}", *words[1:], "--out", "out"]
    assert message in told(capsys, *words, "--results", results)


def test_a_table_that_a_run_does_not_have(results):
    with pytest.raises(BenchError, match="no table 'none'; a run has"):
        RunFrames(read_run(newest_run(results))).table("none")


def test_an_image_that_two_lines_of_a_table_are_about(tmp_path):
    (tmp_path / "t.csv").write_text("image,site\na,1\na,2\n")
    with pytest.raises(BenchError, match="lines 2 and 3: both are about image 'a'; keep one"):
        read_columns(tmp_path / "t.csv", ["a"])


@pytest.mark.parametrize(("name", "message"), [("Class", "cannot name a module"), ("dice", "there is a metric named")])
def test_names_of_new_modules(name, message):
    with pytest.raises(BenchError, match=message):
        checked_name(name, ["dice"], "a metric")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "is not an index of predictions; delete the folder") for text in ("[]", "7", '{"a": 1}')),
        *((text, "is missing or damaged") for text in ("{", "[" * 100_000, "")),
    ],
)
def test_an_index_of_predictions_that_is_none(tmp_path, text, message):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(BenchError, match=message):
        read_index(tmp_path)


@pytest.mark.parametrize(("text", "message"), [("[]", "is not an index of predictions"), ("[" * 100_000, "is damaged")])
def test_an_index_of_audited_predictions_that_is_none(tmp_path, text, message):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(BenchError, match=message):
        _read_index(tmp_path)


def test_a_seal_that_is_unsigned_or_no_text(results, tmp_path):
    run = newest_run(results)
    (run.path / SEAL).write_bytes(b"\xff\xfe sealed")
    with pytest.raises(BenchError, match="is not a SHA-256 and a file; seal the run again"):
        seal_differences(run)
    with pytest.raises(BenchError, match="sign its seal with: bench seal"):
        signer_of(run, tmp_path / "signers")
    (run.path / SEAL).unlink()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "expected lines such as `mean_iou: -0.5pt`, found"),
        ("models: 7", "models: expected NAME: {quantity: margin}, found"),
    ],
)
def test_gates_of_another_form(content, message):
    with pytest.raises(BenchError) as refused:
        parsed_gate(json.loads(content) if content == "[]" else {"models": 7}, "g.yaml")
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: " + "9" * 5000, "[" * 5000, "\xff", "a: [" * 9])
def test_gates_that_are_no_yaml_or_a_bomb(tmp_path, text):
    (tmp_path / "g.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(BenchError, match=r"see docs/compare\.md for a gate to copy"):
        load_gate(tmp_path / "g.yaml")


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"version": -1}', '{"version": 1, "images": [7]}'])
def test_a_list_of_what_was_predicted_that_is_none(tmp_path, text):
    (tmp_path / "predictions.json").write_text(text)
    with pytest.raises(BenchError, match="is not a list of predictions that this version wrote"):
        _read(tmp_path / "predictions.json")


@pytest.mark.parametrize("text", ["[]", "{", "[" * 100_000])
def test_a_folder_of_weights_whose_configuration_is_none(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BenchError, match=r"cannot be read as JSON|holds a list where an object is expected"):
        kind_of(tmp_path)


def test_a_configuration_of_odd_types_is_told_as_it_is(tmp_path):
    (tmp_path / "config.json").write_text('{"architectures": 7, "model_type": ["a"]}')
    (tmp_path / "preprocessor_config.json").write_text("[")
    assert any("nothing that can be read" in fact for fact in kind_of(tmp_path).facts)


@pytest.mark.parametrize(
    "header", [b"[]", b'{"a": 7}', b'{"a": {"data_offsets": ["x", null]}}', b"[" * 100_000, b"\xff"]
)
def test_a_damaged_file_of_safetensors(tmp_path, header):
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(BenchError, match="is a damaged safetensors file; copy or download it again"):
        kind_of(tmp_path / "m.safetensors")


@pytest.mark.parametrize("text", ["a: [", "a: &a [*a]", "\ta: 1"])
def test_a_suite_that_is_not_yaml(tmp_path, capsys, text):
    (tmp_path / "s.yaml").write_text(text)
    assert "s.yaml: is not YAML" in told(capsys, "check", tmp_path / "s.yaml")


@pytest.mark.parametrize("text", ['{"id": 1}', "7", "[7]", "{", "[" * 100_000])
def test_a_database_of_vulnerabilities_that_is_none(tmp_path, text):
    (tmp_path / "osv.json").write_text(text)
    with pytest.raises(BenchError, match="is no OSV entry"):
        vulnerabilities_of(Inventory("CPython", "3.11", []), tmp_path / "osv.json")
