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
    cudnn = torch.backends.cudnn
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.printoptions())
        stack.callback(_restore_environment, dict(os.environ))
        os.environ.update({"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"})
        if _private:
            os.environ["YOLO_CONFIG_DIR"] = _private[0].name
            os.environ.setdefault("MPLCONFIGDIR", _private[0].name)
        for name in ("ULTRALYTICS_API_KEY", "ULTRALYTICS_PLATFORM_URL"):
            os.environ.pop(name, None)
        for owner, name in (
            *((torch, "save"), (PIL.Image, "open"), (cudnn, "deterministic"), (cudnn, "benchmark")),
            (torch.utils.deterministic, "fill_uninitialized_memory"),
        ):
            stack.callback(setattr, owner, name, getattr(owner, name))
        stack.callback(vars(torch._tensor_str.PRINT_OPTS).update, dict(vars(torch._tensor_str.PRINT_OPTS)))
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        stack.callback(cv2.setNumThreads, cv2.getNumThreads())
        stack.enter_context(torch.random.fork_rng(devices=list(gpus)))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.callback(
            _restore_determinism,
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        if gpus:
            stack.callback(torch.cuda.set_device, torch.cuda.current_device())
        yield


def _restore_environment(before: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


def _restore_determinism(enabled: bool, warn_only: bool) -> None:
    if torch.are_deterministic_algorithms_enabled() != enabled:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
