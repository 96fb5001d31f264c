"""Memory and time to open a COCO annotation file: this harness against pycocotools, in one run.

    python tests/benchmarks/bench_coco_index.py [--annotations 200000] [--rounds 3]

A synthetic file like instances_train2017.json: seven annotations for each image, in random order, each a
polygon of about fifty numbers. Every measurement is a process of its own, which reports the largest
resident set that the kernel saw (Linux) and the time of opening, both without the imports. Ours is opened
without a remembered index, then with one; each also reads the annotations of a hundred images. Exit code
1 if opening with an index takes more than a tenth of pycocotools' memory growth, or is not ten times as
fast.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

GOAL = 10.0
PROGRAMS = {
    "pycocotools": """
from pycocotools.coco import COCO
import contextlib, io
def opened():
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(path)
    return len([api.loadAnns(api.getAnnIds(imgIds=[i])) for i in api.getImgIds()[:100]])
""",
    "ours": """
from pathlib import Path
from bench.data.formats.coco_index import coco_index
def opened():
    index = coco_index(Path(path))
    return len([index.annotations(index.key(i)) for i in range(100)])
""",
}
MEASURE = """
import json, sys, time
path = sys.argv[1]
def kibibytes(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))
{program}
before = kibibytes("VmRSS")
start = time.perf_counter()
assert opened() == 100
seconds = time.perf_counter() - start
peak = kibibytes("VmHWM")
print(json.dumps([seconds, peak / 1024, (peak - before) / 1024]))
"""


def write_file(path: Path, annotations: int) -> None:
    """Write the annotation file; it is left a minute old, so that its index is remembered."""
    random = np.random.default_rng(0)
    images = max(100, annotations // 7)
    with path.open("w", encoding="utf-8") as file:
        rows = [{"id": i, "file_name": f"{i:012d}.jpg", "height": 480, "width": 640} for i in range(images)]
        file.write('{"images": ' + json.dumps(rows) + ', "annotations": [')
        for number in range(annotations):
            points = (random.random(2 * random.integers(10, 40)) * 480).round(2).tolist()
            row = {
                "segmentation": [points],
                "area": 1234.5,
                "iscrowd": 0,
                "image_id": int(random.integers(images)),
                "bbox": points[:4],
                "category_id": int(random.integers(1, 81)),
                "id": number,
            }
            file.write((", " if number else "") + json.dumps(row))
        categories = [{"id": i, "name": f"class {i}", "supercategory": "thing"} for i in range(1, 81)]
        file.write('], "categories": ' + json.dumps(categories) + "}")
    a_minute_ago = time.time() - 60
    os.utime(path, (a_minute_ago, a_minute_ago))


def measured(program: str, path: Path, cache: Path) -> tuple[float, float, float]:
    """Seconds, peak resident MiB and their growth over the imports, of one process."""
    command = [sys.executable, "-c", MEASURE.replace("{program}", PROGRAMS[program]), str(path)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds, peak, growth = json.loads(done.stdout)
    return seconds, peak, growth


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--annotations", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "instances.json"
        write_file(path, options.annotations)
        print(f"{options.annotations} annotations, {path.stat().st_size / 1e6:.0f} MB, median of {options.rounds}")
        for number in range(options.rounds):
            cache = Path(temporary) / f"cache{number}"
            for name, program in (("pycocotools", "pycocotools"), ("ours, first", "ours"), ("ours, again", "ours")):
                rows.setdefault(name, []).append(measured(program, path, cache))
        index_mb = sum(file.stat().st_size for file in cache.rglob("*.npz")) / 1e6
    print(f"{'':12} {'open s':>8} {'peak MiB':>9} {'growth MiB':>11}")
    medians = {name: [median(column) for column in zip(*found, strict=True)] for name, found in rows.items()}
    for name, (seconds, peak, growth) in medians.items():
        print(f"{name:12} {seconds:8.3f} {peak:9.0f} {growth:11.0f}")
    print(f"the index takes {index_mb:.1f} MB on disk")
    theirs, ours = medians["pycocotools"], medians["ours, again"]
    return int(ours[0] * GOAL > theirs[0] or ours[2] * GOAL > theirs[2])


if __name__ == "__main__":
    sys.exit(main())
