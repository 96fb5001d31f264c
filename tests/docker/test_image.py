"""What can be known of the image without an engine that builds it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def argument(name: str) -> str:
    """The default of an ARG."""
    return re.search(rf'^ARG {name}="?([^"\n]+)"?$', DOCKERFILE, re.MULTILINE).group(1)


def test_the_dockerfile_breaks_no_rule_of_hadolint():
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed; it has no build for this machine")
    found = subprocess.run([hadolint, ROOT / "docker/Dockerfile"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_image_installs_what_make_installs_but_the_tools_of_development():
    made = re.search(r'-e "\.\[([^]]+)\]"', MAKEFILE).group(1).split(",")
    assert [*argument("EXTRAS").split(","), "dev"] == made
    assert "-c constraints.txt" in DOCKERFILE


def test_the_image_builds_the_commit_of_detectron2_that_make_builds():
    assert f"detectron2.git@{argument('DETECTRON2')}\n" in MAKEFILE


def test_all_that_is_copied_is_there_and_enough_to_install_the_package(tmp_path):
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if re.match(r"COPY (?!--)(?!\. )", line)]
    for name in (name for names in copied for name in names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "out").mkdir()
    command = (
        "import sys; from hatchling.build import prepare_metadata_for_build_editable as made; print(made(sys.argv[1]))"
    )
    pytest.importorskip("hatchling", reason="hatchling is not installed; it builds the package's metadata")
    done = subprocess.run(
        [sys.executable, "-c", command, tmp_path / "out"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "segbench" in done.stdout


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
    assert {".git", ".venv", "results/*"} <= set(ignored)


def test_nobody_is_root_in_the_image():
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users[-1].split(":")[0] not in {"root", "0"}
