"""A torch network as an ONNX file, exported once and kept.

Files lie under `$XDG_CACHE_HOME/segbench/exports` (`~/.cache` where that is not set), in a folder
named by everything that decides their content: the weights, the architecture, the source of every
layer, the input size and the exporter's version. Delete them at any time. The arithmetic is the
runtime's choice, so one float32 file serves all precisions and both runtimes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue
from torch import nn

from bench.errors import Unsupported
from bench.records import Size
from bench.records.store.cache import exports_folder
from bench.records.store.files import content_sha256

INPUT = "pixels"
"""Name of the input of an exported network."""

MODEL = "model.onnx"
"""Name of the file in its folder of the cache."""

LARGEST_SINGLE_FILE = 1 << 30
"""Bytes of weights above which they lie beside the model: its format ends at 2 GiB."""

TRIAL = Size(96, 160)
"""Sides of the trial input of a network for any size, rounded up to its multiple."""


@dataclass(frozen=True)
class ExportRequest:
    """Hold what is exported.

    Attributes:
        module: Maps (B, 3, H, W) to a tensor or to a tuple of them; in float32, in evaluation mode.
        architecture: Meaning of the weights, with everything that decides what is computed and is not in them.
        size: (H, W) that every input will have; None for any.
        multiple: Sides of the input are multiples of it.
        outputs: Names of what it answers, in order.
        squares: True if every input is as wide as it is high.
    """

    module: nn.Module
    architecture: dict[str, JsonValue]
    size: Size | None = None
    multiple: int = 1
    outputs: tuple[str, ...] = ("logits",)
    squares: bool = False


def exported(request: ExportRequest, cache: Path | None = None) -> Path:
    """Return the ONNX file of a network: from the cache, the user's if left out, or exported into it.

    Raises:
        Unsupported: If the exporter is not installed or cannot express the network.
    """
    return made_once((cache or exports_folder()) / content_key(request)[:32], lambda file: _export(request, file))


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return the model in a folder of the cache, whose name decides its content; `make` writes it if it is missing."""
    file = folder / MODEL
    if file.is_file():
        return file
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made beside its place and moved there in one step: a killed export leaves nothing that looks whole.
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        make(unfinished / MODEL)
        try:
            unfinished.rename(folder)
        except OSError:
            if not file.is_file():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return file


def export_facts(file: Path) -> dict[str, JsonValue]:
    """Return facts of an export for `bench.adapter.Adapter.describe`: hashes and size of its files."""
    files = sorted(path for path in file.parent.iterdir() if path.is_file())
    return {
        "exported_files": {path.name: content_sha256(path) for path in files},
        "exported_bytes": sum(path.stat().st_size for path in files),
    }


def content_key(request: ExportRequest) -> str:
    """Return the SHA-256, hexadecimal, of everything that decides the content of an export."""
    digest = hashlib.sha256()
    size = list(request.size) if request.size is not None else None
    versions = {name: _version(name) for name in ("torch", "onnx", "onnxscript")}
    facts = {
        "architecture": request.architecture,
        "outputs": list(request.outputs),
        "size": size,
        "multiple": request.multiple,
        **({"squares": True} if request.squares else {}),
        **versions,
    }
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(request.module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    # The files that define the layers: a network may change without its weights.
    files = {inspect.getsourcefile(type(layer)) for layer in request.module.modules()}
    for source in sorted(Path(file) for file in files if file is not None):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _export(request: ExportRequest, file: Path) -> None:
    if _version("onnxscript") is None:
        raise Unsupported(
            "exporting to ONNX needs the package onnxscript, which is not installed; install it with: "
            "pip install onnx onnxscript"
        )
    sides = (TRIAL.width, TRIAL.width) if request.squares else TRIAL
    size = request.size or Size(*(-(-side // request.multiple) * request.multiple for side in sides))
    device = next((tensor.device for tensor in request.module.state_dict().values()), None)
    trial = torch.zeros(2, 3, *size, device=device)  # a batch of one would be taken for a constant
    weights = sum(tensor.numel() * tensor.element_size() for tensor in request.module.state_dict().values())
    level = logging.getLogger("torch.onnx").level
    try:
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                request.module,
                (trial,),
                str(file),
                input_names=[INPUT],
                output_names=list(request.outputs),
                dynamo=True,
                dynamic_shapes=(_free_axes(request),),
                external_data=weights > LARGEST_SINGLE_FILE,
                verbose=False,
            )
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise Unsupported(_why_not(request, error)) from None
    finally:
        logging.getLogger("torch.onnx").setLevel(level)


def _free_axes(request: ExportRequest) -> dict[int, Any]:
    """Return axes of the input whose length may change."""
    free: dict[int, Any] = {0: torch.export.Dim.DYNAMIC}
    if request.size is None:
        of_side = torch.export.Dim("side_cells", min=1)
        for axis, name in ((2, "height"), (3, "width")):
            cells = of_side if request.squares else torch.export.Dim(f"{name}_cells", min=1)
            is_free = request.multiple == 1 and not request.squares
            free[axis] = torch.export.Dim.DYNAMIC if is_free else request.multiple * cells
    return free


def _why_not(request: ExportRequest, error: Exception) -> str:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = " ".join(str(cause).split())[:300]
    if request.size is None:
        return (
            f"the network cannot be exported to ONNX for inputs of any size ({reason}); give the target an image_size, "
            "or use runtime eager"
        )
    return f"the network cannot be exported to ONNX ({reason}); use runtime eager"
