"""Tests what can be known of the image without an engine that builds it; `docker/verify.sh` checks the rest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")


def verify(root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable}
    command = [root / "docker/verify.sh"]
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_all_that_can_be_run_without_an_engine_runs():
    done = verify()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed" not in done.stdout


def test_a_file_that_is_copied_and_not_there_is_found(tmp_path):
    for name in ("docker/Dockerfile", "docker/entrypoint.sh", "docker/verify.sh", "Makefile", "constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    done = verify(tmp_path)
    assert done.returncode == 1
    assert "COPY pyproject.toml: it is not there" in done.stderr


def test_every_service_builds_this_dockerfile_and_leaves_results_to_the_caller():
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text(encoding="utf-8"))["services"]
    assert set(services) == {"segbench", "cpu"}
    for service in services.values():
        assert (ROOT / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
        assert service["user"].startswith("${UID")
        assert service["volumes"] == ["../results:/bench/results"]
    assert services["cpu"]["build"]["args"] == {"DEVICE": "cpu"}


def test_the_image_holds_no_results_and_no_environment_of_this_machine():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".git", ".venv", ".venvs", "results/*"} <= set(ignored)


def test_nobody_is_root_in_the_image():
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users[-1].split(":")[0] not in {"root", "0"}


def test_nothing_that_looks_like_a_secret_reaches_a_layer():
    assert re.findall(r"(?i)(password|token|secret|api_?key|--mount=type=(?:secret|ssh))", DOCKERFILE) == []


def test_the_image_holds_bytecode_since_its_user_cannot_write_any():
    compiled = DOCKERFILE.index("python -m compileall")
    assert compiled > DOCKERFILE.index("COPY --chmod=755 . /opt/segbench")
    assert compiled < DOCKERFILE.index("USER 1000")
    assert "PYTHONDONTWRITEBYTECODE" not in DOCKERFILE
