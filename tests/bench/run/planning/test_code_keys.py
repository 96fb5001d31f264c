"""Code that can change a number is part of the keys by its content, and what became stale says which file did it."""

from __future__ import annotations

import ast
import hashlib
import io
import shutil
import subprocess
import tokenize

import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.records.names import harness_root
from bench.records.store import code
from bench.records.store.code import CODE_OF, Remembered, code_behind, content_of
from bench.records.store.runs import newest_run, read_plan, read_run
from bench.report import render
from bench.report.summary.summarise import summarise
from bench.run.environments.interpreters import Interpreters
from bench.run.planning import code_keys
from bench.run.planning.code_keys import code_accepted_as, code_of_kind, refuse_changed_code
from bench.run.planning.prepare import prepare
from tests.bench.suites import perfect, write_suite

SOURCE = '"""Says."""\n\nimport os\n\n\ndef f(a):\n    """Adds."""\n    return a + 1  # one\n'


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (SOURCE.replace("Adds", "Adds one,\n    and more"), True),
        (SOURCE.replace("  # one", ""), True),
        (SOURCE.replace("\n\n\n", "\n\n# here\n\n"), True),
        (SOURCE.replace('"""Says."""', ""), True),
        (SOURCE.replace("+ 1", "+ 2"), False),
        (SOURCE.replace("return a", "return '# one' + a"), False),
        (SOURCE.replace("    return", "        return"), False),
        (SOURCE + "f = None\n", False),
        ("def f(:\n", False),
    ],
)
def test_a_file_is_known_by_what_it_does_and_not_by_what_it_says_of_it(tmp_path, other, same):
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text(SOURCE)
    two.write_text(other)
    assert (content_of(one) == content_of(two)) is same


def test_the_code_of_a_job_is_that_which_can_change_its_numbers():
    predict, time = code_of_kind("predict", "coco"), code_of_kind("time", "coco")
    assert {"bench/datasets/coco.py", "bench/data/formats/polygons.py", "bench/run/worker/predict_job.py"} <= {*predict}
    assert "bench/datasets/voc.py" not in predict
    assert not any(path.startswith(("bench/measure", "bench/report", "bench/cli")) for path in predict)
    assert {"bench/measure/timing.py", "bench/measure/stages.py", "bench/score/stats/stop_rule.py"} <= {*time}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the harness whose code stands in keys, and may be changed."""
    root = tmp_path / "harness"
    for package in ("bench", "adapters"):
        shutil.copytree(harness_root() / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv(CODE_OF, str(root))
    return root


def edit(tree, path, line="ANOTHER = 1\n"):
    file = tree / path
    file.write_text(file.read_text() + line)


def states(capsys, suite, results, *flags) -> dict[str, str]:
    """Kind of job -> state and reason, as `bench check` prints them."""
    assert main(["check", str(suite), "--results", str(results), *flags]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    rows = [line.split("@shapes@cpu fp32 b1 t1")[1].split(None, 1) for line in lines if "@shapes@" in line]
    return {kind: rest.strip() for kind, rest in rows if kind in ("predict", "score")}


def test_check_says_which_jobs_became_stale_and_which_file_did_it(tmp_path, tree, capsys):
    suite, results = write_suite(tmp_path, [perfect()]), tmp_path / "results"
    assert main(["run", str(suite), "--results", str(results), "--kind", "predict"]) == 0
    capsys.readouterr()
    assert states(capsys, suite, results) == {"predict": "done", "score": "done"}
    edit(tree, "bench/metrics/mean_iou.py", "# a remark\n")
    edit(tree, "bench/measure/stages.py")
    edit(tree, "bench/datasets/coco.py")
    assert states(capsys, suite, results) == {"predict": "done", "score": "done"}
    edit(tree, "bench/metrics/_confusion.py")
    told = states(capsys, suite, results)
    assert told["predict"] == "done"
    assert told["score"] == "stale    code: bench/metrics/_confusion.py changed"
    edit(tree, "bench/datasets/shapes.py")
    assert states(capsys, suite, results)["predict"] == "stale    code: bench/datasets/shapes.py changed"
    edit(tree, "adapters/fake/adapter.py")
    told = states(capsys, suite, results)["predict"]
    assert "adapter source: adapters/fake/adapter.py changed" in told
    assert "code: bench/datasets/shapes.py changed" in told


def test_scores_of_changed_code_are_computed_again_by_the_next_run(tmp_path, tree, capsys):
    suite, results = write_suite(tmp_path, [perfect()]), tmp_path / "results"
    arguments = ["run", str(suite), "--results", str(results), "--kind", "predict"]
    assert main(arguments) == 0
    before = read_run(newest_run(results)).cases[0].scores
    edit(tree, "bench/score/reduce.py")
    assert main(arguments) == 0
    assert "0 jobs done, 1 were done already" in capsys.readouterr().err
    after = read_run(newest_run(results)).cases[0].scores
    assert {p for p in before.code if before.code[p] != after.code.get(p)} == {"bench/score/reduce.py"}
    assert before.scores == after.scores


def test_a_worker_is_not_started_on_other_code_than_the_run_was_planned_with(tmp_path, monkeypatch):
    job = prepare(write_suite(tmp_path, [perfect()]), Interpreters()).cases[0].predict
    refuse_changed_code(job)
    file = harness_root() / "bench/datasets/shapes.py"
    known = code.content_of
    monkeypatch.setattr(code, "content_of", lambda path: "0" * 12 if path == file else known(path))
    monkeypatch.setattr(code, "_BEHIND", Remembered())  # nothing is known of the files of before
    with pytest.raises(BenchError, match=r"^bench/datasets/shapes\.py changed since this run was planned"):
        refuse_changed_code(job)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git checkout of the harness with a revision `before` in which the mean was computed by other code."""
    root = tmp_path / "checkout"
    for package in ("bench", "adapters"):
        shutil.copytree(harness_root() / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    edit(root, "bench/metrics/mean_iou.py")
    edit(root, "bench/datasets/shapes.py")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "before"], ["tag", "before"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *identity, *words], cwd=root, check=True)
    real = code_keys._git

    def git(*words, revision):
        monkeypatch.setattr(code_keys, "harness_root", lambda: root)
        try:
            return real(*words, revision=revision)
        finally:
            monkeypatch.setattr(code_keys, "harness_root", harness_root)

    monkeypatch.setattr(code_keys, "_git", git)
    return root


def test_accepted_code_makes_what_it_did_count_as_done_and_the_report_says_so(
    tmp_path, repository, monkeypatch, capsys
):
    suite, results = write_suite(tmp_path, [perfect()]), tmp_path / "results"
    arguments = [str(suite), "--results", str(results)]
    with monkeypatch.context() as earlier:
        earlier.setenv(CODE_OF, str(repository))
        assert main(["run", *arguments, "--kind", "predict"]) == 0
    capsys.readouterr()
    assert states(capsys, suite, results)["predict"] == "stale    code: bench/datasets/shapes.py changed"
    assert states(capsys, suite, results, "--accept-code", "before") == {"predict": "done", "score": "done"}
    assert main(["run", *arguments, "--kind", "predict", "--accept-code", "before"]) == 0
    assert "0 jobs done" in capsys.readouterr().err
    run = newest_run(results)
    accepted = read_plan(run).accepted_code
    assert accepted.revision == "before"
    assert accepted.files == ("bench/datasets/shapes.py", "bench/metrics/mean_iou.py")
    assert "bench/metrics/mean_iou.py" in render("markdown", summarise(read_run(run))).partition("Code was accepted")[2]


def test_an_unknown_revision_is_told(tmp_path, capsys):
    assert main(["check", str(write_suite(tmp_path, [perfect()])), "--accept-code", "no-such-thing"]) == 2
    assert "--accept-code no-such-thing: there is no such revision" in capsys.readouterr().err


def test_nothing_of_accepted_code_stays_behind():
    before = code_behind(["bench.metrics.mean_iou"])
    with code_accepted_as(None) as accepted:
        assert accepted is None
    assert code_behind(["bench.metrics.mean_iou"]) == before


# ------------------------------------------------------------------ parsing only what tells


def significant_lines_by_tokens(source: bytes) -> str:
    """As the harness did it at first: all of a file is cut into tokens, and every node of its tree is walked to."""
    lines = io.TextIOWrapper(io.BytesIO(source), "utf-8").readlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            for number in range(node.lineno, node.end_lineno):
                lines[number] = ""
            lines[node.lineno - 1] = lines[node.lineno - 1][: node.col_offset]
    for token in tokenize.tokenize(io.BytesIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]]
    return "\n".join(line.rstrip() for line in lines if line.strip())


ODD = b'''# first
"""Says # no comment."""
@decorated  # here
# there
class A(  # and here
    B,
): x = "#"; y = """
# not one
"""  # one
if A: pass; "gone"  # one
else:
    # one
    def f(a=f"#{1}"):  # one
        match a:  # one
            case 1:
                "gone"
            case _: return "#"  # one
a = 1; b = """
"""; c = 2  # one
try: a
except E:  # one
    "gone"
finally:
    d = """#"""
# last'''


@pytest.mark.parametrize("source", [ODD, *(sorted((harness_root() / "bench" / "records").rglob("*.py")))], ids=str)
def test_the_lines_that_tell_are_those_that_tokens_of_the_whole_file_give(tmp_path, source):
    file = source if not isinstance(source, bytes) else tmp_path / "odd.py"
    content = source if isinstance(source, bytes) else file.read_bytes()
    file.write_bytes(content) if isinstance(source, bytes) else None
    expected = significant_lines_by_tokens(content).encode()
    assert content_of(file) == hashlib.sha256(expected).hexdigest()[: code.DIGITS]


def test_what_is_imported_for_types_alone_does_not_run(tmp_path):
    (tmp_path / "bench").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "bench" / f"{name}.py").write_text("")
    file = tmp_path / "m.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    if 1:\n        import bench.a\nelse:\n    pass\n"
        "def f():\n    try:\n        from bench import b\n    except E:\n        import bench.c\n"
    )
    assert code.imported(file, tmp_path) == ("typing", "bench.b", "bench.c")
