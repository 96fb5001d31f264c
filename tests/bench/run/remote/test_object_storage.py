"""Results behind a URL: the same run as in a folder, resumed after a kill, damaged objects named, one writer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.errors import BenchError
from bench.records.names import harness_root
from bench.records.store.runs import newest_run, read_run
from bench.run.remote.copies import contents_in, finished_files, object_name, pull, push, runs_in
from bench.run.remote.stores import Store, split_url, store_at
from bench.run.remote.working import working_folder, writing
from tests.bench.run.processes import wait_for
from tests.bench.suites import perfect, write_suite

BUCKET = "results"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A server that speaks S3, in this process; yields its address."""
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'segbench[s3]'")
    pytest.importorskip("flask_cors", reason="needs moto[s3], flask and flask-cors")
    moto = pytest.importorskip("moto.server", reason="needs moto[s3], flask and flask-cors")
    served = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    served.start()
    host, port = served.get_host_and_port()
    yield f"http://{host}:{port}"
    served.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path) -> str:
    """The URL of results in a bucket of its own; working folders are those of the test."""
    for name, value in credentials(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    import s3fs

    name = f"{BUCKET}-{abs(hash(str(tmp_path))) % 10**9}"
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir(name)
    return f"s3://{name}/lab"


@pytest.fixture
def folder(monkeypatch, tmp_path) -> str:
    """The URL of results in a folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"file://{tmp_path}/shared"


@pytest.fixture(params=["bucket", pytest.param("folder", marks=pytest.mark.slow)])
def url(request) -> str:
    return request.getfixturevalue(request.param)


def credentials(server: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def run(suite: Path, url: str, *flags: str) -> int:
    return main(["run", str(suite), "--results", url, "--kind", "predict", *flags])


def elsewhere(monkeypatch, tmp_path, name: str) -> None:
    """Go on as on another machine, which has no working folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))


def scores_of(results: Path) -> dict[str, list[float | None]]:
    cases = read_run(newest_run(results)).cases
    return {case.case.id: [score.value for score in case.scores.scores] for case in cases if case.scores}


def test_a_run_in_a_store_has_the_scores_of_a_run_in_a_folder_and_is_read_anywhere(url, tmp_path, monkeypatch, capsys):
    suite = write_suite(tmp_path, [perfect()])
    assert run(suite, url) == 0
    assert main(["run", str(suite), "--results", str(tmp_path / "plain"), "--kind", "predict"]) == 0
    assert scores_of(working_folder(url)) == scores_of(tmp_path / "plain")
    elsewhere(monkeypatch, tmp_path, "other")
    assert main(["audit", "--results", url]) == 0
    capsys.readouterr()
    assert main(["report", "--results", url, "--form", "csv"]) == 0
    assert "fake/perfect" in capsys.readouterr().out
    assert run(suite, url) == 0
    assert "0 jobs done, 1 were done already" in capsys.readouterr().err
    assert scores_of(working_folder(url)) == scores_of(tmp_path / "plain")


@pytest.mark.slow
def test_a_run_that_is_killed_is_resumed_elsewhere_with_what_was_finished(bucket, tmp_path, monkeypatch, capsys):
    is_killed_and_gone_on_with(bucket, tmp_path, monkeypatch, capsys)


def is_killed_and_gone_on_with(url, tmp_path, monkeypatch, capsys) -> None:
    suite = write_suite(tmp_path, [perfect(), "fake/hangs"])
    words = [
        sys.executable,
        "-m",
        "bench.cli.main",
        "run",
        str(suite),
        "--results",
        url,
        "--kind",
        "predict",
        "--one-at-a-time",
    ]
    process = subprocess.Popen(
        words, cwd=harness_root(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(lambda: any(working_folder(url).glob("*/*/jobs/predict-fake-hangs*/predictions")))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    store = store_at(url)
    [(name, run_name)] = runs_in(store)
    kept = contents_in(store, name, run_name)
    assert any("predict-fake-perfect" in file for file in kept.files)
    assert not any("predict-fake-hangs" in file for file in kept.files)
    elsewhere(monkeypatch, tmp_path, "other")
    done = write_suite(tmp_path, [perfect(), "fake/slow_5ms"])
    assert run(done, url) == 0  # the writer was killed on this machine: its right is taken over
    assert "1 jobs done, 1 were done already" in capsys.readouterr().err
    assert newest_run(working_folder(url)).name == run_name


@pytest.mark.slow
def test_what_is_finished_is_not_done_again_on_another_machine(url, tmp_path, monkeypatch, capsys):
    first, both = write_suite(tmp_path, [perfect()]), write_suite(tmp_path, [perfect(), "fake/slow_5ms"], name="both")
    both.write_text(both.read_text() + "name: suite\n")
    assert run(first, url) == 0
    elsewhere(monkeypatch, tmp_path, "other")
    capsys.readouterr()
    assert run(both, url) == 0
    assert "1 jobs done, 1 were done already" in capsys.readouterr().err


def spoil(store: Store, name: str) -> None:
    content = store.read(name)
    store.write(name, content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.slow
def test_a_damaged_object_is_named_and_its_job_done_again(url, tmp_path, monkeypatch, capsys):
    suite = write_suite(tmp_path, [perfect()])
    assert run(suite, url) == 0
    store = store_at(url)
    [(name, run_name)] = runs_in(store)
    files = contents_in(store, name, run_name).files
    index = next(file for file in files if file.endswith("predictions/index.json"))
    target = object_name(files[index].sha256)
    spoil(store, target)
    elsewhere(monkeypatch, tmp_path, "other")
    capsys.readouterr()
    assert run(suite, url) == 0
    said = capsys.readouterr().err
    assert f"{url}/{target}" in said
    assert "is not what was uploaded (its SHA-256 differs)" in said
    assert "1 jobs done" in said
    elsewhere(monkeypatch, tmp_path, "third")
    assert main(["audit", "--results", url]) == 0
    assert "differs" not in capsys.readouterr().err


@pytest.mark.few(1)
@pytest.mark.parametrize("file", ["manifest.jsonl", "plan.json"])
def test_a_run_whose_plan_or_manifest_is_damaged_in_the_store_is_refused(folder, tmp_path, monkeypatch, capsys, file):
    suite = write_suite(tmp_path, [perfect()])
    assert run(suite, folder) == 0
    store = store_at(folder)
    [(name, run_name)] = runs_in(store)
    spoil(store, object_name(contents_in(store, name, run_name).files[file].sha256))
    elsewhere(monkeypatch, tmp_path, "other")
    capsys.readouterr()
    assert run(suite, folder) == 2
    assert "the run cannot be gone on with. Begin another with --new" in capsys.readouterr().err
    assert run(suite, folder, "--new") == 0


def test_a_list_of_files_that_leads_outside_of_the_run_is_refused(folder, tmp_path, monkeypatch, capsys):
    suite = write_suite(tmp_path, [perfect()])
    assert run(suite, folder) == 0
    store = store_at(folder)
    [(name, run_name)] = runs_in(store)
    place = f"runs/{name}/{run_name}/contents.json"
    document = json.loads(store.read(place))
    document["files"]["../../../outside"] = next(iter(document["files"].values()))
    store.write(place, json.dumps(document).encode())
    elsewhere(monkeypatch, tmp_path, "other")
    assert run(suite, folder) == 2
    assert "names files outside of it" in capsys.readouterr().err
    assert not list(tmp_path.rglob("outside"))


def test_of_two_writers_one_is_refused_and_told_who_writes(url):
    store = store_at(url)
    told = rf"is being written by .* process {os.getpid()} since"
    with (
        writing(store, "suite", "run"),
        writing(store, "suite", "another run"),
        pytest.raises(BenchError, match=told),
        writing(store, "suite", "run"),
    ):
        pass
    with writing(store, "suite", "run") as writer:
        writer.require()
        store.write("runs/suite/run/writer.json", b'{"token": "of another", "host": "far", "process": "7:1"}')
        with pytest.raises(BenchError, match="no longer ours but of far process 7"):
            writer.require()
    assert store.read("runs/suite/run/writer.json") is not None  # it is theirs


def test_only_one_of_several_creates_an_object(url):
    store = store_at(url)
    assert [store.create("a/b", text) for text in (b"first", b"second")] == [True, False]
    assert store.read("a/b") == b"first"
    store.remove("a/b")
    assert (store.read("a/b"), store.size("a/b")) == (None, None)
    assert store.create("a/b", b"third")


def test_a_store_that_is_out_of_reach_costs_no_result(folder, tmp_path, monkeypatch, capsys):
    suite = write_suite(tmp_path, [perfect()])
    real = store_at(folder)
    broken = type(real).put

    def refuse(self, file, name):
        raise BenchError(f"{self.url}/{name} could not be written: out of order")

    monkeypatch.setattr(type(real), "put", refuse)
    assert run(suite, folder) == 2
    said = capsys.readouterr().err
    assert said.count("warning: not uploaded yet") == 1
    assert contents_in(real, "suite", newest_run(working_folder(folder)).name) is None
    monkeypatch.setattr(type(real), "put", broken)
    capsys.readouterr()
    assert run(suite, folder) == 0
    assert "0 jobs done, 1 were done already" in capsys.readouterr().err
    assert runs_in(real) == [("suite", newest_run(working_folder(folder)).name)]


def test_copies_that_went_on_apart_are_not_mixed(folder, tmp_path, monkeypatch, capsys):
    suite = write_suite(tmp_path, [perfect()])
    assert run(suite, folder) == 0
    here = newest_run(working_folder(folder))
    here.manifest.write_bytes(here.manifest.read_bytes()[:-40] + b"x" * 40)
    capsys.readouterr()
    assert run(suite, folder) == 2
    assert "went on apart" in capsys.readouterr().err


def test_an_unfinished_job_is_not_in_the_list_and_equal_files_are_one_object(folder, tmp_path):
    from bench.records.store.layout import RunFolder

    here = RunFolder(tmp_path / "results" / "suite" / "run")
    for name, text in {
        "plan.json": "p",
        "jobs/a/outcome.json": "same",
        "jobs/a/x.npz": "same",
        "jobs/b/x.npz": "half",
    }.items():
        file = here.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert sorted(finished_files(here).files) == ["jobs/a/outcome.json", "jobs/a/x.npz", "plan.json"]
    store = store_at(folder)
    put = push(store, here, None, set())
    assert len(store.names("objects")) == 2
    assert pull(store, put, tmp_path / "other", lambda _: None) == set()
    other = tmp_path / "other" / "suite" / "run"
    assert (other / "jobs/a/x.npz").read_text() == "same"
    assert not (other / "jobs/b").exists()


@pytest.mark.slow
def test_an_archive_goes_to_a_url_and_comes_back(url, tmp_path, capsys):
    suite, plain = write_suite(tmp_path, [perfect()]), tmp_path / "plain"
    assert main(["run", str(suite), "--results", str(plain), "--kind", "predict"]) == 0
    name = newest_run(plain).name
    assert main(["export", name, f"{url}/run.tar", "--results", str(plain)]) == 0
    assert main(["export", name, f"{url}/run.tar", "--results", str(plain)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert main(["import", f"{url}/run.tar", "--results", str(tmp_path / "back")]) == 0
    assert scores_of(tmp_path / "back") == scores_of(plain)
    spoil(store_at(url), "run.tar")
    assert main(["import", f"{url}/none.tar", "--results", str(tmp_path / "again")]) == 2
    assert "make one with: bench export RUN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://results", "is gone with its process"),
        ("http://host/results", "no results are kept at http://"),
        ("s3://", "expected the name of a bucket"),
        ("file://results", "expected an absolute path"),
    ],
)
def test_a_place_that_keeps_nothing_is_refused_before_anything_runs(tmp_path, capsys, url, message):
    assert run(write_suite(tmp_path, [perfect()]), url) == 2
    assert message in capsys.readouterr().err


def test_commands_that_work_on_a_folder_say_what_to_do(capsys):
    assert main(["gc", "--results", "s3://bucket/results"]) == 2
    assert "bench import run.tar" in capsys.readouterr().err


def test_the_url_of_a_file_is_told_from_what_it_lies_in():
    assert split_url("s3://bucket/a/run.tar") == ("s3://bucket/a", "run.tar")
    with pytest.raises(BenchError, match="expected the URL of a file"):
        split_url("s3://bucket")


def test_a_bucket_that_is_not_there_is_told(bucket, tmp_path, capsys):
    assert run(write_suite(tmp_path, [perfect()]), "s3://no-such-bucket-here/lab") == 2
    said = capsys.readouterr().err
    assert "s3://no-such-bucket-here/lab" in said
    assert "Traceback" not in said
