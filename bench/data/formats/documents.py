"""Reading of the JSON, YAML and list files that come with data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from bench.errors import DatasetError


def read_yaml(path: Path) -> Any:
    """Contents of a YAML file; raises `DatasetError` naming file and line if it is none."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DatasetError(f"{path} cannot be read as YAML: {_one_line(error)}. Fix the file.") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """Contents of a JSON file that holds an object; raises `DatasetError` naming the file if it is none."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be read as JSON: {_one_line(error)}. Restore the file from its source."
        ) from None
    if not isinstance(document, dict):
        raise DatasetError(f"{path} holds a {type(document).__name__} where an object is expected.")
    return document


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without surrounding space; empty lines and lines that begin with # are left out."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {_one_line(error)}. It must be a text file in UTF-8.") from None
    return [line for line in lines if line and not line.startswith("#")]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
