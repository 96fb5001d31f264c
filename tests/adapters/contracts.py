"""Reads what the adapters of the tree declare for the tests, each in the `contract.yaml` of its folder."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

ADAPTERS = Path(__file__).resolve().parents[2] / "adapters"


@cache
def contracts() -> dict[str, dict[str, Any]]:
    """By adapter: `modules`, its framework first, and `models`: config -> `options`, `steps`, `learning_rate`."""
    return {file.parent.name: yaml.safe_load(file.read_text()) for file in sorted(ADAPTERS.glob("*/contract.yaml"))}
