"""Time of `bench data check` as a multiple of the time of merely decoding the images, on all cores.

    python tests/benchmarks/bench_data_check.py [--images 1000] [--form folder|coco] [--rounds 3]

Synthetic photographs as in COCO, 480 × 640, JPEG of quality 92 (about 140 kB), with about 7 objects
each: as palette PNGs (`folder`) or as polygons (`coco`). Decoding is OpenCV's, in as many forks as the
check uses, each with one thread and a chunk of images at a time. Both start with the files in the
page cache, and take turns. The check starts without a cache of its own and includes its comparison
of all images with each other. Exit code 1 if its median time is above 1.5 × that of decoding.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from bench.data.check import check
from bench.data.opening import Choice, opened
from bench.data.scan import CHUNK
from bench.measure.devices import allowed_cores

HEIGHT, WIDTH, CLASSES, QUALITY, GOAL = 480, 640, 20, 92, 1.5


def photograph(seed: int) -> tuple[NDArray[np.uint8], list[NDArray[np.int32]]]:
    """An image with detail at every scale, (H, W, 3), and the outlines of its objects, each (P, 2) as x, y."""
    random = np.random.default_rng(seed)
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for cells in (4, 16, 64, 256, WIDTH):
        noise = random.normal(0, 1, (cells * 3 // 4, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * (56 / cells**0.25)
    outlines = []
    for _ in range(int(random.integers(3, 12))):
        centre = random.random(2) * (WIDTH, HEIGHT)
        angles = np.sort(random.random(24)) * 2 * np.pi
        radius = np.exp(random.uniform(np.log(10), np.log(150))) * random.uniform(0.8, 1.2, 24)
        outlines.append(
            (centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)).astype(np.int32)
        )
    for outline in outlines:
        cv2.fillPoly(image, [outline], [float(v) for v in random.normal(0, 60, 3)])
    return np.clip(image + 128, 0, 255).astype(np.uint8), outlines


def write_image(folder: Path, index: int) -> list[NDArray[np.int32]]:
    """Write an image and its mask; four of five are for training."""
    image, outlines = photograph(index)
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for number, outline in enumerate(outlines):
        cv2.fillPoly(mask, [outline], 1 + (index + number) % (CLASSES - 1))
    name = f"{split_of(index)}/{index:012d}"
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    stored = Image.fromarray(mask).convert("P")
    stored.putpalette([int(v) for v in np.random.default_rng(0).integers(0, 256, 768)])
    stored.save(folder / "masks" / f"{name}.png")
    return outlines


def split_of(index: int) -> str:
    return "val" if index % 5 == 4 else "train"


def write_all(folder: Path, images: int) -> None:
    """Write a data set that reads as `folder` and as `coco`."""
    for part in ("images", "masks"):
        for split in ("train", "val"):
            (folder / part / split).mkdir(parents=True)
    outlines = [write_image(folder, index) for index in range(images)]
    names = [f"class {number}" for number in range(CLASSES)]
    (folder / "classes.yaml").write_text(yaml.safe_dump(names), encoding="utf-8")
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    for split in ("train", "val"):
        chosen = [index for index in range(images) if split_of(index) == split]
        rows = [{"id": i, "file_name": f"{i:012d}.jpg", "height": HEIGHT, "width": WIDTH} for i in chosen]
        annotations = [
            {"id": 1000 * i + n, "image_id": i, "category_id": 1 + (i + n) % (CLASSES - 1), "iscrowd": 0,
             "segmentation": [outline.ravel().tolist()]}
            for i in chosen for n, outline in enumerate(outlines[i])
        ]  # fmt: skip
        document = {"images": rows, "annotations": annotations, "categories": categories}
        (folder / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")


def decode(paths: list[Path]) -> int:
    """Read and decode images; returns how many pixels they had."""
    return sum(cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR).size for path in paths)


def decode_all(paths: list[Path]) -> None:
    """Decode all images in one fork for each core."""
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(len(allowed_cores()), mp_context=context) as pool:
        assert sum(pool.map(decode, chunks)) == len(paths) * HEIGHT * WIDTH * 3


def check_all(folder: Path, form: str) -> None:
    """Check the whole data set, with nothing remembered."""
    options = {
        "folder": {"root": str(folder), "split_by": "folders"},
        "coco": {"root": str(folder), "images": "images/{split}", "annotations": "{split}.json"},
    }[form]
    choice = Choice(form, form, options)
    dataset = opened(choice)
    with tempfile.TemporaryDirectory() as cache:
        checked = check(choice, dataset, dataset.splits(), cache=Path(cache), jobs=None, console=Console(stderr=True))
    assert not checked.wrong, checked.findings[:3]


def seconds(work: Callable[[], None]) -> float:
    """Wall-clock time of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> int:
    """Measure and print; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--form", choices=("folder", "coco"), default="folder")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_all(folder, options.images)
        paths = sorted((folder / "images").rglob("*.jpg"))
        masks = sorted((folder / "masks").rglob("*.png"))
        size_kb = sum(path.stat().st_size for path in paths) / len(paths) / 1000
        print(f"{len(paths)} images of {size_kb:.0f} kB on average, {len(allowed_cores())} cores, form {options.form}")
        rounds = [
            (
                seconds(lambda: decode_all(paths)),
                seconds(lambda: decode_all(paths + masks)),
                seconds(lambda: check_all(folder, options.form)),
            )
            for _ in range(options.rounds)
        ]
    images_s, both_s, check_s = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"decode images            {images_s:6.2f} s")
    print(f"decode images and masks  {both_s:6.2f} s")
    print(
        f"check                    {check_s:6.2f} s   {check_s / images_s:.2f} × images, {check_s / both_s:.2f} × both"
    )
    return 0 if check_s <= GOAL * images_s else 1


if __name__ == "__main__":
    sys.exit(main())
