"""Cost of reading data sets, as a multiple of what another commit takes, in one run.

    python tests/benchmarks/bench_reading.py --against COMMIT [--images 118000] [--annotations 860000] [--rounds 3]

Synthetic data sets of the size of COCO's training split: one JSON of polygons, a folder of images and masks, and a
YOLO set; images, masks and label files are hard links to eight small ones. Three things are measured of each: opening
it and listing its images with no index remembered, the same with one remembered, and reading a thousand images with
their ground truth. Each is a process of its own, which reports the CPU seconds of user and system and the growth of
its largest resident set (Linux), both without the imports; the two commits take turns. The other commit is checked out
into a git worktree that is removed again. Prints the medians and their ratio; exit code 1 if a ratio of seconds is
above 1 by more than the spread of the rounds, or a ratio of memory above 1.1.

Against 1bf8e68, 10,000 images and 73,000 annotations, three rounds on a busy two-core machine, seconds / memory:

    coco      first 1.00 / 0.96    again 0.33 / 0.49    read 1.14 / 0.88
    folder    first 0.22 / 0.52    again 0.24 / 0.53    read 1.06 / 0.56
    yolo      first 0.11 / 0.24    again 0.11 / 0.24    read 1.02 / 0.91

The peak is reset before each measurement, for opening takes more for a moment than it keeps. Of 30,000 images and
220,000 annotations, reading then takes 4.9 MiB at 1bf8e68 and 3.2 to 4.3 MiB now, as much after 1,000 images as after
the first.

Reading an image costs some microseconds more than then: that each file is a file and whole (the parts of a PNG, the
pixels that its bytes can hold), and of a COCO annotation whether it has a mask, is a crowd, and which area it says.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import cv2
import numpy as np

HERE = Path(__file__).resolve().parents[2]
SIDE, DISTINCT, READ = 64, 8, 1000
MEMORY_GOAL = 1.1
MEASURE = """
import importlib, json, os, sys
name, options, what = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
module = importlib.import_module("bench.datasets." + name)
import numpy, cv2, PIL.Image
def kibibytes(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))
def opened():
    dataset = module.open_dataset(module.Options(**options))
    return dataset, [i for split in dataset.splits() for i in dataset.ids(split)]
if what == "read":
    dataset, ids = opened()
open("/proc/self/clear_refs", "w").write("5")  # the peak of opening is none of reading
before, clock = kibibytes("VmRSS"), os.times()
if what == "read":
    for image_id in ids[:: max(1, len(ids) // int(sys.argv[4]))]:
        dataset.image(image_id), dataset.target(image_id)
else:
    dataset, ids = opened()
now = os.times()
print(json.dumps([now.user + now.system - clock.user - clock.system, (kibibytes("VmHWM") - before) / 1024, len(ids)]))
"""


def stars(random: np.random.Generator, count: int) -> list[list[float]]:
    """Outlines of some objects, 25 corners each."""
    angles = np.linspace(0, 2 * np.pi, 25, endpoint=False)
    centres, radii = random.uniform(12, SIDE - 12, (count, 2)), random.uniform(3, 12, (count, 25))
    points = centres[:, None] + radii[..., None] * np.stack([np.cos(angles), np.sin(angles)], -1)
    return [[round(value, 2) for value in one.ravel().tolist()] for one in points]


def write_coco(root: Path, images: int, annotations: int) -> None:
    """Write one JSON in COCO's format; outlines are drawn from some thousands that were made once."""
    random = np.random.default_rng(0)
    outlines = [json.dumps(one) for one in stars(random, 4096)]
    owners = random.integers(0, images, annotations).tolist()
    (root / "annotations").mkdir(parents=True)
    with (root / "annotations" / "instances_train2017.json").open("w", encoding="utf-8") as file:
        categories = [{"id": n + 1, "name": f"class {n}", "supercategory": "thing"} for n in range(80)]
        rows = (
            f'{{"id": {n}, "file_name": "{n:012d}.jpg", "height": {SIDE}, "width": {SIDE}, "license": 1}}'
            for n in range(images)
        )
        file.write(f'{{"info": {{}}, "categories": {json.dumps(categories)}, "images": [{", ".join(rows)}],\n')
        file.write('"annotations": [')
        for n, owner in enumerate(owners):
            file.write(
                f'{", " if n else ""}{{"id": {n}, "image_id": {owner}, "category_id": {n % 80 + 1}, "iscrowd": 0, '
                f'"area": 200.5, "bbox": [1.5, 2.5, 20.5, 20.5], "segmentation": [{outlines[n % 4096]}]}}'
            )
        file.write("]}\n")


def linked(folder: Path, suffix: str, originals: list[Path], images: int) -> None:
    """Fill a folder with hard links."""
    folder.mkdir(parents=True)
    for n in range(images):
        os.link(originals[n % DISTINCT], folder / f"{n:012d}{suffix}")


def write_all(root: Path, images: int, annotations: int) -> dict[str, dict[str, str]]:
    """Write the three data sets; returns their options."""
    random = np.random.default_rng(1)
    originals: dict[str, list[Path]] = {".jpg": [], ".png": [], ".txt": []}
    for n in range(DISTINCT):
        outlines = stars(random, 7)
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        for value, one in enumerate(outlines, start=1):
            cv2.fillPoly(mask, [np.array(one).reshape(-1, 2).astype(np.int32)], value)
        lines = [f"{k} {' '.join(str(round(x / SIDE, 4)) for x in one)}" for k, one in enumerate(outlines)]
        for suffix, content in (
            (".jpg", cv2.imencode(".jpg", random.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))[1].tobytes()),
            (".png", cv2.imencode(".png", mask)[1].tobytes()),
            (".txt", "\n".join(lines).encode()),
        ):
            path = root / f"original_{n}{suffix}"
            path.write_bytes(content)
            originals[suffix].append(path)
    write_coco(root / "coco", images, annotations)
    linked(root / "coco" / "train2017", ".jpg", originals[".jpg"], images)
    linked(root / "folder" / "images" / "train", ".jpg", originals[".jpg"], images)
    linked(root / "folder" / "masks" / "train", ".png", originals[".png"], images)
    rows = [f"  - {{name: class {n}, value: {n}}}" for n in range(DISTINCT)]
    (root / "folder" / "classes.yaml").write_text("classes:\n" + "\n".join(rows) + "\n")
    linked(root / "yolo" / "images" / "train", ".jpg", originals[".jpg"], images)
    linked(root / "yolo" / "labels" / "train", ".txt", originals[".txt"], images)
    names = ", ".join(f"class {n}" for n in range(DISTINCT))
    (root / "yolo" / "data.yaml").write_text(f"train: images/train\nnames: [{names}]\n")
    return {name: {"root": str(root / name)} for name in ("coco", "folder", "yolo")}


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A worktree of another commit, for as long as it is used."""
    subprocess.run(["git", "-C", str(HERE), "worktree", "add", "-q", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "-C", str(HERE), "worktree", "remove", "--force", str(folder)], check=True)


def measured(tree: Path, cache: Path, name: str, options: dict[str, str], what: str) -> tuple[float, float]:
    """CPU seconds and MiB of one process that imports the harness from a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", MEASURE, name, json.dumps(options), what, str(READ)]
    done = subprocess.run(words, cwd=cache, env=environment, check=True, capture_output=True, text=True)
    seconds, mebibytes, images = json.loads(done.stdout)
    assert images > 0
    return seconds, mebibytes


def main() -> int:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", required=True, metavar="COMMIT")
    parser.add_argument("--images", type=int, default=118_000)
    parser.add_argument("--annotations", type=int, default=860_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    worse = False
    with tempfile.TemporaryDirectory() as temporary, checked_out(given.against, Path(temporary, "tree")) as other:
        root = Path(temporary)
        options = write_all(root, given.images, given.annotations)
        for name, what in ((name, what) for name in options for what in ("first", "again", "read")):
            found: dict[Path, list[tuple[float, float]]] = {other: [], HERE: []}
            for turn in range(given.rounds):
                for number, tree in enumerate(found):
                    cache = root / f"cache {number} {turn if what == 'first' else 0}"
                    cache.mkdir(exist_ok=True)
                    found[tree].append(measured(tree, cache, name, options[name], what))
            before, now = (np.median(rows, axis=0) for rows in found.values())
            spread = max(max(s for s, _ in rows) / max(median(s for s, _ in rows), 0.01) for rows in found.values())
            ratios = now / np.maximum(before, (0.01, 1.0))
            worse |= ratios[0] > max(spread, 1.0) or ratios[1] > MEMORY_GOAL
            print(
                f"{name:7} {what:6} {given.against[:8]} {before[0]:7.2f} s {before[1]:7.1f} MiB   now {now[0]:7.2f} s "
                f"{now[1]:7.1f} MiB   ratio {ratios[0]:5.2f} {ratios[1]:5.2f}",
                flush=True,
            )
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
