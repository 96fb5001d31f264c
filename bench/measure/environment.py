"""Everything about a machine that may explain a number: read once per run, kept beside the results."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from bench.measure.devices import allowed_cores, cpu_model, kernel_bytes, text_of
from bench.measure.gpus import memory_bytes, opened

VARIABLES = frozenset(
    {
        "BENCH_ADAPTERS",
        "BENCH_DATASETS",
        "BENCH_LOGGERS",
        "BENCH_METRICS",
        "CUBLAS_WORKSPACE_CONFIG",
        "CUDA_CACHE_DISABLE",
        "CUDA_CACHE_MAXSIZE",
        "CUDA_DEVICE_MAX_CONNECTIONS",
        "CUDA_DEVICE_ORDER",
        "CUDA_LAUNCH_BLOCKING",
        "CUDA_MODULE_LOADING",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE",
        "CUDA_VISIBLE_DEVICES",
        "CUDNN_DETERMINISTIC",
        "DNNL_MAX_CPU_ISA",
        "KMP_AFFINITY",
        "KMP_BLOCKTIME",
        "KMP_DUPLICATE_LIB_OK",
        "KMP_SETTINGS",
        "LD_PRELOAD",
        "MALLOC_ARENA_MAX",
        "MALLOC_CONF",
        "MALLOC_MMAP_MAX_",
        "MALLOC_MMAP_THRESHOLD_",
        "MALLOC_TOP_PAD_",
        "MALLOC_TRIM_THRESHOLD_",
        "MKL_CBWR",
        "MKL_DYNAMIC",
        "MKL_ENABLE_INSTRUCTIONS",
        "MKL_NUM_THREADS",
        "MKL_THREADING_LAYER",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "NVIDIA_DRIVER_CAPABILITIES",
        "NVIDIA_TF32_OVERRIDE",
        "NVIDIA_VISIBLE_DEVICES",
        "OMP_DYNAMIC",
        "OMP_NUM_THREADS",
        "OMP_PLACES",
        "OMP_PROC_BIND",
        "OMP_SCHEDULE",
        "OMP_STACKSIZE",
        "OMP_THREAD_LIMIT",
        "OMP_WAIT_POLICY",
        "ONEDNN_DEFAULT_FPMATH_MODE",
        "ONEDNN_MAX_CPU_ISA",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
        "PYTHONHASHSEED",
        "PYTORCH_ALLOC_CONF",
        "PYTORCH_CUDA_ALLOC_CONF",
        "PYTORCH_ENABLE_MPS_FALLBACK",
        "PYTORCH_NO_CUDA_MEMORY_CACHING",
        "PYTORCH_NVML_BASED_CUDA_CHECK",
        "TORCHINDUCTOR_FREEZING",
        "TORCHINDUCTOR_MAX_AUTOTUNE",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "TORCH_CUDNN_SDPA_ENABLED",
        "TORCH_CUDNN_V8_API_DISABLED",
    }
)
"""Environment variables that can change a result, by their exact names; nothing else is recorded, because the value of
any other may be a secret (`TORCH_HUB_TOKEN`, say, would pass for one of PyTorch's by its first letters)."""


def capture(tree: Path) -> dict[str, JsonValue]:
    """Return what is known about this machine; what cannot be read is null with a reason beside it.

    Args:
        tree: Folder of the harness, for its git commit.
    """
    found = dict(filter(None, map(_name_and_version, distributions())))
    return {
        "python": {"version": platform.python_version(), "executable": Path(sys.executable).name},
        "system": _system(),
        "cpu": _cpu(),
        "gpus": _gpus(),
        "packages": {name: found[name] for name in sorted(found, key=str.lower)},
        "git": git_state(tree),
        "variables": {k: v for k, v in sorted(os.environ.items()) if k in VARIABLES},
    }


OF_THE_MOMENT = ("load_1min", "pressure")
"""This is what of the processor's record tells no environment from another."""


def lasting(environment: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the record without what changes from minute to minute."""
    cpu = environment.get("cpu")
    kept = {k: v for k, v in cpu.items() if k not in OF_THE_MOMENT} if isinstance(cpu, dict) else cpu
    return {**environment, "cpu": kept}


def _system() -> dict[str, JsonValue]:
    release = dict(line.split("=", 1) for line in (text_of("/etc/os-release") or "").splitlines() if "=" in line)
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "distribution": release.get("PRETTY_NAME", "").strip('"') or None,
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "machine": platform.machine(),
        "memory_bytes": kernel_bytes("MemTotal", Path("/proc/meminfo")),
        "container": Path("/.dockerenv").exists() or Path("/run/.containerenv").exists(),
        "hypervisor": "hypervisor" in (text_of("/proc/cpuinfo") or ""),
    }


def _cpu() -> dict[str, JsonValue]:
    base = "/sys/devices/system/cpu"
    no_turbo, boost = text_of(f"{base}/intel_pstate/no_turbo"), text_of(f"{base}/cpufreq/boost")
    return {
        "model": cpu_model(),
        "cores_allowed": len(allowed_cores()),
        "cores_total": os.cpu_count(),
        "smt": text_of(f"{base}/smt/active"),
        "governor": text_of(f"{base}/cpu0/cpufreq/scaling_governor"),
        "boost": {"0": "on", "1": "off"}.get(no_turbo or "", boost),
        "numa_nodes": len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or None,
        "cgroup_quota": text_of("/sys/fs/cgroup/cpu.max"),
        "load_1min": os.getloadavg()[0],
        "pressure": text_of("/proc/pressure/cpu"),
    }


def _gpus() -> JsonValue:
    """Return one entry per NVIDIA GPU, or the reason why there is none; a refused counter costs that counter only."""
    with opened() as nvml:
        if isinstance(nvml, str):
            return nvml
        return [_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]


def _gpu(nvml: Any, index: int) -> JsonValue:
    def ask(question: str, *arguments: object) -> JsonValue:
        try:
            answer = getattr(nvml, question)(*arguments)
        except AttributeError:
            return f"unknown to this nvidia-ml-py: {question}"
        except nvml.NVMLError as error:
            return f"refused: {error}"
        return (
            answer.decode() if isinstance(answer, bytes) else answer if isinstance(answer, int | str) else str(answer)
        )

    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return f"GPU {index} does not answer: {error}"
    return {
        "name": ask("nvmlDeviceGetName", handle),
        "uuid": ask("nvmlDeviceGetUUID", handle),
        "driver": ask("nvmlSystemGetDriverVersion"),
        "vbios": ask("nvmlDeviceGetVbiosVersion", handle),
        "memory_bytes": memory_bytes(nvml, handle),
        "power_limit_mw": ask("nvmlDeviceGetPowerManagementLimit", handle),
        "pcie_generation": ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
        "pcie_width": ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
        "persistence_mode": ask("nvmlDeviceGetPersistenceMode", handle),
    }


def _name_and_version(package: Distribution) -> tuple[str, str] | None:
    """Name and version of a package, None without them; its whole metadata, with its description, is not parsed."""
    text = package.read_text("METADATA") or package.read_text("PKG-INFO") or package.read_text("") or ""
    head = text.partition("\n\n")[0]
    name, version = (re.search(rf"^{field}:\s*(\S+)", head, re.MULTILINE) for field in ("Name", "Version"))
    return None if name is None or version is None else (name[1], version[1])


def git_state(tree: Path) -> dict[str, JsonValue]:
    """Commit and whether the tree was dirty; null outside a git checkout.

    An installation inside of somebody else's checkout, as in its virtual environment, is none of that checkout. Code
    that is in no commit, such as a new adapter, makes the tree dirty; other untracked files do not.
    """
    if _run_git(tree, "ls-files", "--error-unmatch", "bench/__init__.py") is None:
        return {"commit": None, "dirty": None}
    commit = _run_git(tree, "rev-parse", "HEAD")
    status = _run_git(tree, "status", "--porcelain", "--untracked-files=no")
    new = _run_git(tree, "ls-files", "--others", "--exclude-standard", "--", "bench", "adapters")
    return {"commit": commit, "dirty": None if status is None else bool(status or new)}


def _run_git(tree: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
