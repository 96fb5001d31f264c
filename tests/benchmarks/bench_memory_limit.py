"""Measures what the limit of a worker's memory costs, and how much it counts that is never touched.

    python -m tests.benchmarks.bench_memory_limit [--steps 60] [--turns 5]

Trains a small network on a CPU in processes that take turns, with RLIMIT_DATA at the default share and without; and
maps 64 GiB as drivers of devices do: without access, privately, and shared. Prints the median ratio of neighbouring
turns, and what the kernel counts (VmData) beside what is resident.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

TRAIN = """
import json, mmap, resource, sys, time
import torch
torch.set_num_threads(1)
def kib(key): return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(key))
if sys.argv[1] == "limited":
    free = next(int(l.split()[1]) for l in open("/proc/meminfo") if l.startswith("MemAvailable")) * 1024
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (kib("VmData") * 1024 + int(0.9 * free), hard))
layers = [torch.nn.Conv2d(i, o, 3, padding=1) for i, o in ((3, 32), (32, 32), (32, 8))]
net = torch.nn.Sequential(*layers)
optimizer = torch.optim.AdamW(net.parameters())
x, y = torch.rand(4, 3, 96, 96), torch.randint(0, 8, (4, 96, 96))
def step():
    optimizer.zero_grad(); torch.nn.functional.cross_entropy(net(x), y).backward(); optimizer.step()
for _ in range(5): step()
began = time.process_time()
for _ in range(int(sys.argv[2])): step()
spent = time.process_time() - began
told = {"ms": 1000 * spent / int(sys.argv[2]), "data": kib("VmData") // 1024, "resident": kib("VmRSS") // 1024}
size = 64 << 30
# 0x4000 is MAP_NORESERVE, which Python names from 3.13 on.
anonymous, both = mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ | mmap.PROT_WRITE
kinds = {"without access": (mmap.MAP_PRIVATE, 0), "private": (mmap.MAP_PRIVATE, both)}
kinds["shared"] = mmap.MAP_SHARED, both
for name, (flags, access) in kinds.items():
    try:
        mmap.mmap(-1, size, flags=flags | anonymous, prot=access).close()
        told[name] = "mapped"
    except (OSError, ValueError) as error:
        told[name] = f"refused ({error})"
print(json.dumps(told))
"""


def main() -> None:
    """Print both times and what is counted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--turns", type=int, default=5)
    chosen = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {"limited": [], "free": []}
    for _ in range(chosen.turns):
        for kind, turns in found.items():
            command = [sys.executable, "-c", TRAIN, kind, str(chosen.steps)]
            turns.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    ratios = [a["ms"] / b["ms"] for a, b in zip(found["limited"], found["free"], strict=True)]
    for kind, turns in found.items():
        print(f"{kind:<8} {statistics.median(turn['ms'] for turn in turns):7.2f} ms/step   {turns[-1]}")
    print(
        f"ratio {statistics.median(ratios):.4f} (median of {chosen.turns} pairs, {min(ratios):.4f}-{max(ratios):.4f})"
    )


if __name__ == "__main__":
    main()
