"""What the adapters of the tree declare for the tests, each in the `contract.yaml` of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ADAPTERS = Path(__file__).resolve().parents[2] / "adapters"


def contracts() -> dict[str, dict[str, Any]]:
    """Adapter -> `modules`, its framework's first, and `models`: config -> `options`, `steps` and `learning_rate`."""
    return {file.parent.name: yaml.safe_load(file.read_text()) for file in sorted(ADAPTERS.glob("*/contract.yaml"))}
