"""The framework without its habits: nothing leaves the machine, nothing is written to the user's home.

What Ultralytics (read: 8.4.190) reaches for, and what keeps it here:

| when | what | kept here by |
|---|---|---|
| import | DNS of one.one.one.one and dns.google, to see if it is online | `YOLO_OFFLINE` |
| import | `~/.config/Ultralytics/settings.json` | `YOLO_CONFIG_DIR`, a private folder, removed at exit |
| reading a YAML of data | `Arial.ttf`, `Arial.Unicode.ttf` from github.com, even offline | fonts of that name there |
| the same | matplotlib's font cache under the home folder | `MPLCONFIGDIR`, unless the user set it |
| the same | a `download:` entry | our YAML has none |
| weights by name | a release on github.com | only files that exist are handed over |
| mixed precision on CUDA | `yolo26n.pt`, to try it | switched on after that check |
| a missing package | `pip install` | `YOLO_AUTOINSTALL` |
| train, val, predict | google-analytics.com, Sentry | offline, and the setting `sync` |
| train | its Platform, if there is a key | the variable and the setting are empty |
| train | ClearML, Comet, DVC, MLflow, Ray Tune, TensorBoard, W&B, where installed | the settings |
| `yolo checks` | the package index for a newer version | never called, and offline |

It also changes what a process shares: environment variables, thread counts, random generators,
print options, warning filters, deterministic kernels, `torch.save` and `PIL.Image.open`.
`contained` puts all of that back.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import logging
import os
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch

from bench.errors import BenchError, Unsupported

NAME = "ultralytics"
FONTS = ("Arial.ttf", "Arial.Unicode.ttf")
OFF = ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb", "vscode_msg", "openvino_msg")
EMPTY = ("api_key", "openai_api_key")
FOLDERS = ("datasets_dir", "weights_dir", "runs_dir")
PATCHED = ((torch, "save"), (PIL.Image, "open"))

_private: list[tempfile.TemporaryDirectory[str]] = []
"""The framework's configuration folder once it is imported; lives as long as the process that made it."""


def _leave_the_folder_to_the_parent() -> None:
    """Leave the folder to the process that was forked: a fork does not remove it at its end."""
    for folder in _private:
        folder._finalizer.detach()  # type: ignore[attr-defined]  # there is no public way


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_the_folder_to_the_parent)


def import_framework() -> None:
    """Import the framework offline and out of the user's home; later calls do nothing.

    Raises:
        Unsupported: If it is not installed.
        BenchError: If somebody imported it before, with settings and network of its own choosing.
    """
    if _private:
        return
    if NAME in sys.modules:
        raise BenchError(
            "the package ultralytics was imported before its adapter could keep it off the network and out of your "
            "home folder; build the adapter first"
        )
    if importlib.util.find_spec(NAME) is None:
        raise Unsupported(
            f"the package ultralytics is not installed for {sys.executable}. "
            "Create its environment with: bench env ultralytics"
        )
    _private.append(tempfile.TemporaryDirectory(prefix="segbench-ultralytics-"))
    folder = Path(_private[0].name) / "Ultralytics"  # the name the framework appends
    folder.mkdir()
    _place_fonts(folder)
    with contained():
        importlib.import_module(NAME)
        _switch_off(folder)
        # NMS takes another implementation where torchvision was imported before; so it always is.
        for module in ("torchvision", "ultralytics.nn.tasks", "ultralytics.data.augment", "ultralytics.utils.nms"):
            importlib.import_module(module)


def _place_fonts(folder: Path) -> None:
    """Copy matplotlib's DejaVu Sans to where the framework looks for Arial before it downloads it."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        raise Unsupported("the package ultralytics needs matplotlib, which is not installed; pip install matplotlib")
    for name in FONTS:
        shutil.copyfile(Path(found.origin).parent / "mpl-data/fonts/ttf/DejaVuSans.ttf", folder / name)


def _switch_off(folder: Path) -> None:
    framework = importlib.import_module("ultralytics.utils")
    known = framework.SETTINGS
    changed: dict[str, Any] = dict.fromkeys(OFF, False) | dict.fromkeys(EMPTY, "")
    changed |= {name: str(folder / name) for name in FOLDERS}
    known.update({name: value for name, value in changed.items() if name in known})
    framework.LOGGER.setLevel(logging.WARNING)
    for handler in framework.LOGGER.handlers:
        handler.setLevel(logging.WARNING)


def set_threads(count: int) -> None:
    """Make the framework ask for this many threads of torch where it sets them, on every choice of a device."""
    module: Any = importlib.import_module("ultralytics.utils.torch_utils")
    module.NUM_THREADS = count


@contextmanager
def contained() -> Iterator[None]:
    """Run the framework's code; what the process shares is afterwards as it was before."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.printoptions())
        for keeper in (_environment, _patches, _print_options, _threads, _random_state, _kernels, _current_gpu):
            stack.enter_context(keeper())
        yield


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update({"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"})
    if _private:
        os.environ["YOLO_CONFIG_DIR"] = _private[0].name
        os.environ.setdefault("MPLCONFIGDIR", _private[0].name)
    for name in ("ULTRALYTICS_API_KEY", "ULTRALYTICS_PLATFORM_URL"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        _restore_environment(before)


def _restore_environment(before: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _patches() -> Iterator[None]:
    before = [(owner, name, getattr(owner, name)) for owner, name in PATCHED]
    try:
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


@contextmanager
def _print_options() -> Iterator[None]:
    options: Any = torch._tensor_str.PRINT_OPTS
    before = copy.copy(options.__dict__)
    try:
        yield
    finally:
        torch._tensor_str.PRINT_OPTS.__dict__.update(before)


@contextmanager
def _threads() -> Iterator[None]:
    of_torch, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    try:
        yield
    finally:
        torch.set_num_threads(of_torch)
        cv2.setNumThreads(of_opencv)


@contextmanager
def _random_state() -> Iterator[None]:
    of_python, of_numpy = random.getstate(), np.random.get_state()
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=list(gpus)):
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)


@contextmanager
def _kernels() -> Iterator[None]:
    cudnn = torch.backends.cudnn
    fill: Any = torch.utils.deterministic  # a module with a property, which hints cannot say
    flags = (cudnn.deterministic, cudnn.benchmark, fill.fill_uninitialized_memory)
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark, fill.fill_uninitialized_memory = flags
        if torch.are_deterministic_algorithms_enabled() != deterministic:
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


@contextmanager
def _current_gpu() -> Iterator[None]:
    before = torch.cuda.current_device() if torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        if before is not None:
            torch.cuda.set_device(before)
