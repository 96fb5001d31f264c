"""Tells what a file or folder of weights is, by its own bytes: nothing of it is run, and no framework is imported."""

from __future__ import annotations

import json
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from bench.data.formats.documents import read_json_object, read_limited
from bench.errors import BenchError
from bench.records.array_files import bounded_zip
from bench.records.damage import ARRAY_DAMAGE, text_of
from bench.records.foreign_weights import instead_of
from bench.run.predict.weight_classes import onnx_metadata, torchscript_metadata, yaml_beside

LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""This says how files of torch before 1.6 begin: a pickle of its magic number."""

OF_DETECTRON2 = {
    "GeneralizedRCNN": "mask_rcnn",
    "PanopticFPN": "panoptic_fpn",
    "PanopticDeepLab": "panoptic_deeplab",
    "SemanticSegmentor": "semantic_fpn",
}
"""MODEL.META_ARCHITECTURE of Detectron2 -> model config."""

MOST_OF_A_PICKLE = 64 * 1024**2


@dataclass(frozen=True)
class Kind:
    """Hold what a file is.

    Attributes:
        name: Name in words.
        runs: Model config that runs such a file as it is; None where the tensors decide.
        has_tensors: True if its tensors have names that are held against model configs.
        facts: Further facts that the file states, a sentence each.
        code: Names of classes and functions in it that only running code could restore.
        network: Name of the network that its trainer left in it; None where none did.
        options: Options of the model config in `runs`, as YAML between braces; empty where none are needed.
        weights: The file to give as weights, where it is not what was asked about.
    """

    name: str
    runs: str | None = None
    has_tensors: bool = False
    facts: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    network: str | None = None
    options: str = ""
    weights: Path | None = None


def kind_of(path: Path) -> Kind:
    """Tell what lies at a path; raises `BenchError` if there is nothing, or nothing known."""
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise BenchError(f"there is nothing at {path}; give a file or folder of weights")
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"version https://git-lfs"):
        raise BenchError(f"{path} is a pointer of Git LFS, not the file itself; fetch it with: git lfs pull")
    if head[:15].lower().lstrip().startswith((b"<!doctype html", b"<html")):
        raise BenchError(f"{path} is a page of a web site, saved in the place of the file; download it again")
    if head[4:8] == b"TFL3":  # its metadata is a zip archive at its end, so this comes before those
        return Kind("TensorFlow Lite", _card("litert", "file"), facts=("TFLite files are run by LiteRT",))
    if path.suffix == ".npz":
        return Kind("arrays of NumPy", has_tensors=True)
    if path.suffix == ".pth" and _has_config_of_detectron2(path.parent):
        return replace(_of_detectron2(path.parent), name="a checkpoint of Detectron2", weights=path)
    if zipfile.is_zipfile(path):
        return _archive(path)
    if path.suffix == ".safetensors" or (head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < path.stat().st_size):
        return _safetensors(path)
    if head.startswith(LEGACY_TORCH):
        return Kind("a file of torch.save in the form of before torch 1.6", has_tensors=True)
    if head.startswith(b"\x89HDF"):
        return Kind(
            "HDF5, as Keras writes it", facts=("nothing here reads it; export it to ONNX, then onnxruntime/file",)
        )
    if head.startswith(b"\x80") or path.suffix in (".pkl", ".pickle"):
        return _pickle(path)
    if path.suffix == ".onnx":
        return _exported("ONNX", "onnxruntime", onnx_metadata(path))
    if path.suffix == ".xml" and b"<net" in head:
        if not path.with_suffix(".bin").is_file():
            raise BenchError(
                f"{path} has no {path.with_suffix('.bin').name} beside it, which holds its weights; copy it too"
            )
        return _exported("OpenVINO", "openvino", yaml_beside(path))
    if (instead := instead_of(path)) is not None:
        return Kind("no weights that are read here", facts=(f"{path.name} {instead}",))
    raise BenchError(
        f"{path} begins with {head[:8]!r}, which is no weight file that is known: torch.save, safetensors, "
        "TorchScript, ONNX, "
        "OpenVINO, TensorFlow Lite, a pickle of Detectron2, or a folder of transformers"
    )


def _exported(what: str, adapter: str, metadata: Mapping[str, str]) -> Kind:
    """Return a file that is run as it is; Ultralytics' exports of segments have a model config of their own."""
    said = {key: metadata[key] for key in ("description", "task", "imgsz", "stride") if key in metadata}
    facts = tuple(f"its metadata says {key} {value}" for key, value in said.items())
    name = "yolo_seg" if metadata.get("task") == "segment" else "file"
    return Kind(what, _card(adapter, name), facts=facts)


def _card(adapter: str, name: str) -> str | None:
    """Return a model config, if there is one here."""
    from bench.suite.model_configs import model_config_files

    full = f"{adapter}/{name}"
    return full if full in model_config_files() else None


def _folder(path: Path) -> Kind:
    config = path / "config.json"
    whole = ("model.safetensors", "pytorch_model.bin")
    weights = [name for one in whole for name in (one, f"{one}.index.json") if (path / name).is_file()]
    if config.is_file():
        said = read_json_object(config)
        stated = said.get("architectures")
        names = ", ".join(map(str, stated if isinstance(stated, list) else ())) or str(said.get("model_type"))
        facts = [f"config.json says {names}"]
        if not weights:
            inside = ", ".join(sorted(file.name for file in path.iterdir())[:8])
            facts.append(f"it holds no model.safetensors or pytorch_model.bin, but {inside}")
        if (path / "preprocessor_config.json").is_file():
            facts.append(f"preprocessor_config.json says {_processor(path / 'preprocessor_config.json')}")
        return Kind("a folder of transformers", has_tensors=bool(weights), facts=tuple(facts))
    if (path / "saved_model.pb").is_file():
        return Kind("a SavedModel of TensorFlow", facts=("nothing here reads it; export it to ONNX",))
    if (path / "config.yaml").is_file() and list(path.glob("*.pth")):
        return _of_detectron2(path)
    if (instead := instead_of(path)) is not None:
        return Kind("no weights that are read here", facts=(f"{path.name} {instead}",))
    files = [
        file.name for file in sorted(path.iterdir()) if file.suffix in (".pt", ".pth", ".ckpt", ".safetensors", ".bin")
    ]
    raise BenchError(
        f"{path} is a folder without config.json; "
        + (f"give one of its files: {', '.join(files[:6])}" if files else "it holds no weight file")
    )


def _has_config_of_detectron2(folder: Path) -> bool:
    try:
        text = text_of(folder / "config.yaml")
    except (OSError, ValueError):
        return False
    return re.search(r"\bMETA_ARCHITECTURE\s*:", text) is not None


def _of_detectron2(path: Path) -> Kind:
    """Return a folder that a training of Detectron2 left: its configuration, and the last of its checkpoints."""
    config = path / "config.yaml"
    try:
        said = read_limited(text_of(config)) or {}
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise BenchError(f"{config} cannot be read ({str(error).splitlines()[0]})") from None
    model = said.get("MODEL") if isinstance(said, dict) else None
    name = model.get("META_ARCHITECTURE") if isinstance(model, dict) else None
    if isinstance(model, dict) and name == "GeneralizedRCNN" and not model.get("MASK_ON"):
        return Kind("an output folder of Detectron2", facts=("its network finds boxes without masks (MODEL.MASK_ON)",))
    files = sorted(path.glob("*.pth"), key=lambda file: (file.name == "model_final.pth", file.name))
    return Kind(
        "an output folder of Detectron2",
        runs=_card("detectron2", OF_DETECTRON2.get(str(name), "?")),
        facts=(f"its config.yaml says {name}", "it does not name its classes: they are those it was trained on"),
        options=f"{{config: {config.absolute()}}}",
        weights=files[-1],
    )


def _processor(file: Path) -> str:
    try:
        said = read_json_object(file)
    except BenchError:
        return "nothing that can be read"
    kept = {key: said[key] for key in ("size", "image_mean", "image_std", "do_normalize", "do_rescale") if key in said}
    return json.dumps(kept)


def _archive(path: Path) -> Kind:
    try:
        with bounded_zip(path) as archive:
            names = archive.namelist()
            pickled = next((name for name in names if name.endswith("data.pkl")), None)
            if pickled is None:
                what = "Keras" if path.suffix == ".keras" else f"holding {', '.join(names[:3])}"
                return Kind(f"a zip archive, {what}", facts=("nothing here reads it as weights",))
            if any("/code/" in name for name in names):
                return _exported("TorchScript", "torchscript", torchscript_metadata(path))
            with archive.open(pickled) as file:
                content = file.read(MOST_OF_A_PICKLE)
    except ARRAY_DAMAGE as error:
        raise BenchError(f"{path} is a damaged archive ({error}); copy or download it again") from None
    code = tuple(sorted(set(_globals(content))))
    foreign = tuple(name for name in code if not name.startswith(("torch", "collections", "numpy")))
    yolo = re.search(rb"(yolo[0-9a-z]+-(?:seg|sem|cls|pose|obb))[a-z0-9]*\.(?:yaml|pt)", content)
    trainers = {"ultralytics": "a checkpoint of Ultralytics", "pytorch_lightning": "a checkpoint of Lightning"}
    trainers["lightning"] = trainers["pytorch_lightning"]
    name = next((what for start, what in trainers.items() if any(one.startswith(start) for one in foreign)), None)
    network = yolo[1].decode() if yolo and name == trainers["ultralytics"] else None
    return Kind(name or "a file of torch.save", has_tensors=True, code=foreign, network=network)


def _globals(pickled: bytes) -> Iterator[str]:
    """Yield names of what a pickle would import, read without running it."""
    texts: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name == "GLOBAL":
                yield str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL" and len(texts) >= 2:
                yield ".".join(texts[-2:])
            elif isinstance(argument, str):
                texts.append(argument)
    except Exception:  # whatever a damaged pickle makes the disassembler raise
        return


def _safetensors(path: Path) -> Kind:
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(min(length, MOST_OF_A_PICKLE)))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        said = dict(header.get("__metadata__") or {})
    except (struct.error, *ARRAY_DAMAGE, AttributeError, IndexError, OverflowError, RecursionError):
        raise BenchError(f"{path} is a damaged safetensors file; copy or download it again") from None
    end = max(ends, default=0)
    if 8 + length + end > path.stat().st_size:
        raise BenchError(
            f"{path} is cut off: {8 + length + end - path.stat().st_size} bytes are missing; download it again"
        )
    facts = [f"its metadata: {', '.join(sorted(said))}"] if said else []
    return Kind("safetensors", has_tensors=True, facts=tuple(facts))


def _pickle(path: Path) -> Kind:
    with path.open("rb") as file:
        content = file.read(MOST_OF_A_PICKLE)
    code = tuple(sorted(set(_globals(content))))
    zoo = b"__author__" in content[-4096:] or b"__author__" in content[:4096] or b"matching_heuristics" in content
    foreign = tuple(name for name in code if not re.match(r"numpy|collections|_codecs", name))
    return Kind("a pickle of Detectron2's model zoo" if zoo else "a pickle", code=foreign)
