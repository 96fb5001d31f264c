"""Predictions of other programs, records of a run, archives and pictures, mutated: what `mutations` hands on."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pydantic import ValidationError

from bench.data.formats.image_files import read_image, read_mask
from bench.data.formats.image_headers import _headers as header_cache
from bench.data.formats.image_headers import image_size
from bench.data.predictions.probabilities import read_numbers
from bench.data.prepare.archives import unpack
from bench.errors import BenchError
from bench.records import CaseScores, Job, Outcome, read_record
from bench.records.store.runs import newest_run
from bench.records.store.samples import Samples
from bench.records.store.statistics import load_statistics
from bench.records.store.training_log import read_training_log
from bench.records.store.views import Plan
from bench.run.archive.tar import export_run, import_run
from bench.run.compare.sides import load_baseline
from tests.bench.data.predictions import scenes
from tests.bench.suites import perfect, write_suite
from tests.faults.damages import quiet
from tests.faults.mutated import attempt, changed
from tests.faults.tally import Budget, Tally

NUMBERS = (b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x40\x00", b"\xff\xff", b"\x00\x00", b"9" * 9)


def predictions(tally: Tally, folder: Path, budget: Budget, chance: random.Random) -> None:
    """Files with predictions in every format, one of them mutated, opened and read."""
    dataset, ids = scenes.scenes()
    sizes = {image_id: dataset.target(image_id).semantic.size for image_id in ids}
    forms = _predictions(folder, dataset, ids)
    for form, options in forms.items():
        root = Path(options["root"])
        files = sorted(file for file in root.rglob("*") if file.is_file())
        contents, left = {file: file.read_bytes() for file in files}, budget.share(1 / len(forms)).left(tally)

        def read(root: Path = root, options: dict[str, Any] = options) -> None:
            reader = scenes.reader(root, dataset, **{k: v for k, v in options.items() if k != "root"})
            for image_id in ids:
                reader.read(image_id, sizes[image_id])

        while left():
            file = chance.choice(files)
            text = file.suffix in (".json", ".yaml", ".txt")
            content = changed(file, contents[file], chance) if text else other_bytes(contents[file], chance)
            file.write_bytes(content)
            header_cache.clear()
            tally.add(f"mutated predictions, {form}", attempt(read))
            file.write_bytes(contents[file])


def _predictions(folder: Path, dataset: Any, ids: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Write predictions that are the ground truth, in each format; returns the options with which each is read."""
    names = [spec.name for spec in dataset.classes]
    things = [spec.name for spec in dataset.classes if spec.is_thing]
    places = {form: folder / f"predictions-{form}" for form in ("labels", "probabilities", "coco", "panoptic", "yolo")}
    for place in places.values():
        place.mkdir()
    rows, annotations = [], []
    for image_id in ids:
        target = dataset.target(image_id)
        labels, ids_of = target.semantic.labels, np.zeros((*target.semantic.labels.shape, 3), np.uint8)
        Image.fromarray(labels.astype(np.uint8)).save(places["labels"] / f"{image_id}.png")
        chances = np.eye(len(names), dtype=np.float32)[np.minimum(labels, len(names) - 1)].transpose(2, 0, 1)
        np.savez_compressed(places["probabilities"] / f"{image_id}.npz", probabilities=chances)
        lines, segments = [], []
        found = target.instances
        for number, (mask, class_id) in enumerate(zip(found.masks, found.class_ids.tolist(), strict=True), start=1):
            corners = [[2, 2], [12, 2], [12, 10], [2, 10]]
            shares = " ".join(f"{x / mask.shape[1]:.4f} {y / mask.shape[0]:.4f}" for x, y in corners)
            lines.append(f"{things.index(names[class_id])} {shares} 0.9")
            segmentation = [[value for corner in corners for value in corner]]
            rows.append({"image_id": image_id, "category_id": class_id, "segmentation": segmentation, "score": 0.9})
            ids_of[mask] = (number, 0, 0)
            segments.append({"id": number, "category_id": class_id})
        there = {int(number) for number in np.unique(ids_of[..., 0])}
        segments = [segment for segment in segments if segment["id"] in there]
        (places["yolo"] / f"{image_id}.txt").write_text("\n".join(lines))
        Image.fromarray(ids_of).save(places["panoptic"] / f"{image_id}.png")
        annotations.append({"image_id": image_id, "file_name": f"{image_id}.png", "segments_info": segments})
    (places["labels"] / "dataset.json").write_text(json.dumps({"labels": {name: i for i, name in enumerate(names)}}))
    (places["yolo"] / "data.yaml").write_text(json.dumps({"names": dict(enumerate(things))}))
    (places["coco"] / "results.json").write_text(json.dumps(rows))
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    document = {"annotations": annotations, "categories": categories}
    (places["panoptic"] / "panoptic.json").write_text(json.dumps(document))
    numbers = {name: i for i, name in enumerate(names)}
    more: dict[str, dict[str, Any]] = {"coco": {"classes": numbers}}
    return {form: {"root": str(place), "format": form, **more.get(form, {})} for form, place in places.items()}


def records(tally: Tally, folder: Path, budget: Budget, chance: random.Random) -> None:
    """Records, raw samples and statistics of a run, and what it is packed in, each read by its reader."""
    results = folder / "records"
    suite = write_suite(
        folder, [perfect(), "fake/trains"], name="rec", recipe={"budget": {"steps": 2}, "device": "cpu"}
    )
    quiet(["run", str(suite), "--results", str(results)])
    found = _readers(results, folder)
    contents, left = {file: file.read_bytes() for file, _, _ in found}, budget.left(tally)
    while left():
        file, kind, reader = chance.choice(found)
        packed = file.suffix in (".npz", ".zip", ".tar", ".gz") and chance.random() < 0.7
        file.write_bytes(other_bytes(contents[file], chance) if packed else changed(file, contents[file], chance))
        tally.add(f"mutated {kind}", attempt(partial(_tolerant, reader, file)))
        file.write_bytes(contents[file])


def _readers(results: Path, folder: Path) -> list[tuple[Path, str, Callable[[Path], object]]]:
    """File, what it is, and its reader."""
    readers: dict[str, Callable[[Path], object]] = {
        "job.json": lambda p: read_record(Job, p),
        "outcome.json": lambda p: read_record(Outcome, p),
        "plan.json": lambda p: read_record(Plan, p),
        "samples.npz": Samples.load,
        "training.jsonl": read_training_log,
    }
    found = [(f, "record", readers[f.name]) for f in sorted(results.rglob("*")) if f.name in readers]
    found += [(f, "record", lambda p: read_record(CaseScores, p)) for f in results.glob("*/*/scores/*.json")]
    found += [(f, "record", load_statistics) for f in results.glob("*/*/scores/*.npz")]
    run, packed = newest_run(results), folder / "packed"
    packed.mkdir()
    quiet(["compare", str(run.path), "--save-baseline", str(packed / "baseline.zip")])
    export_run(run, packed / "run.tar")
    export_run(run, packed / "run.tar.gz")
    shutil.make_archive(str(packed / "data"), "zip", run.path / "scores")
    archives: dict[str, Callable[[Path], object]] = {
        "baseline.zip": load_baseline,
        "run.tar": partial(_import, folder / "imported"),
        "run.tar.gz": partial(_import, folder / "imported"),
        "data.zip": partial(_unpack, folder / "unpacked"),
    }
    return [*found, *((packed / name, "archive", reader) for name, reader in archives.items())]


def _import(results: Path, file: Path) -> None:
    shutil.rmtree(results, ignore_errors=True)
    import_run(file, results)


def _unpack(place: Path, file: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    unpack(file, place, advance=lambda _done, _total: None)


def _tolerant(reader: Callable[[Path], object], file: Path) -> None:
    try:
        reader(file)
    except (ValidationError, UnicodeDecodeError) as error:  # what `bench.records.store.runs` turns into a damage
        raise BenchError(str(error)[:80]) from None


def pictures(tally: Tally, folder: Path, budget: Budget, chance: random.Random) -> None:
    """Images, masks and arrays of every format, with other bytes and other sizes, each read as image and as mask."""
    place = folder / "pictures"
    place.mkdir()
    colours = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    labels = (colours[..., 0] // 100).astype(np.uint8)
    for suffix in ("png", "jpg", "bmp", "webp", "ppm", "jp2", "tif"):
        cv2.imwrite(str(place / f"colours.{suffix}"), colours)
    for suffix in ("png", "bmp", "tif", "gif"):
        Image.fromarray(labels, "L").save(place / f"labels.{suffix}")
    np.save(place / "labels.npy", labels)
    np.savez_compressed(place / "numbers.npz", probabilities=colours.astype(np.float32))
    contents, left = {file: file.read_bytes() for file in sorted(place.iterdir())}, budget.left(tally)
    while left():
        file = chance.choice(list(contents))
        file.write_bytes(other_bytes(contents[file], chance))
        readers = [read_numbers] if file.suffix == ".npz" else [read_mask, image_size, read_image]
        for read in readers[: 1 if file.suffix == ".npy" else 3]:
            header_cache.clear()
            tally.add(f"mutated {file.suffix[1:]}", attempt(partial(read, file)))
        file.write_bytes(contents[file])


def other_bytes(content: bytes, chance: random.Random) -> bytes:
    """Content of a file with a number of its beginning, where sizes are, larger; or cut, or with other bytes."""
    what = chance.random()
    if what < 0.4 or not content:
        place = chance.randrange(min(len(content), 160) + 1)
        number = chance.choice(NUMBERS)
        return content[:place] + number + content[place + len(number) :]
    if what < 0.5:
        return content[: chance.randrange(len(content))]
    spoilt = bytearray(content)
    for _ in range(chance.choice((1, 1, 4, 30))):
        spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)
