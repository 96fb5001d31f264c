"""Model configs: `adapters/<adapter>/models/<model config>.yaml`, named `<adapter>/<model config>`."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

import yaml
from pydantic import JsonValue, ValidationError

from bench.adapter import adapter_folder, adapter_folders
from bench.data.formats.documents import read_limited
from bench.data.formats.home import expanded
from bench.data.formats.sources import WeightsSource
from bench.errors import PluginError, did_you_mean, in_one_line
from bench.records import ModelSpec, Record, TaskKind
from bench.records.damage import text_of
from bench.records.names import listed_in


class ModelConfig(Record):
    """A model config as it is written."""

    description: str
    task: TaskKind | None
    options: dict[str, JsonValue] = {}
    weights: str | None = None
    trainable: bool = True
    trained_on: str | None = None
    source: WeightsSource | None = None


def model_config_files() -> dict[str, Path]:
    """Return model config name -> file, over all adapters."""
    return {
        f"{adapter}/{name.removesuffix('.yaml')}": folder / "models" / name
        for adapter, folder in sorted(adapter_folders().items())
        for name in listed_in(folder / "models")
        if name.endswith(".yaml")
    }


def read_model_config(name: str) -> ModelConfig:
    """Read a model config by name.

    Raises:
        PluginError: If there is no such model config, naming the nearest, or it is not a valid model config.
    """
    file = model_config_file(name)
    try:
        return _config(text_of(file))
    except (yaml.YAMLError, ValidationError, UnicodeDecodeError, OSError) as error:
        raise PluginError(f"{file} is not a valid model config: {in_one_line(error)}") from None


def model_config_file(name: str) -> Path:
    """Return the file of a model config; raises `PluginError` with the nearest name."""
    adapter, _, config = name.partition("/")
    if config and Path(config).name == config:  # most are found without a list of all
        with suppress(PluginError):
            file = adapter_folder(adapter) / "models" / f"{config}.yaml"
            if file.is_file():
                return file
    files = model_config_files()
    if name not in files:
        raise PluginError(f"no model named {name!r}.{did_you_mean(name, files)} List them with: bench list models")
    return files[name]


@cache
def _config(text: str) -> ModelConfig:
    """A model config from its text, which is parsed once: a plan asks for those of its models dozens of times."""
    return ModelConfig.model_validate(read_limited(text))


FILES = (".yaml", ".yml", ".json", ".pt", ".pth", ".safetensors")
"""Ends of the names of files that options name."""


def found_from(folder: Path, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return options whose relative paths are made absolute, as seen from a folder: workers run in another.

    A path is what is called `root`, or leads somewhere and has a slash or one of the ends in `FILES`, or is called
    `pretrained`.
    """

    def found(name: str, value: JsonValue) -> JsonValue:
        if not isinstance(value, str) or "://" in value:
            return value
        path = (folder / expanded(value)).resolve()
        is_path = "/" in value or value.endswith(FILES) or name == "pretrained"
        return str(path) if name == "root" or (is_path and path.exists()) else value

    return {name: found(name, value) for name, value in options.items()}


def weights_from(folder: Path, weights: str) -> str:
    """Weights as they are written in a file of `folder`: a path from there, made absolute; an address stays."""
    return weights if "://" in weights else str((folder / expanded(weights)).resolve())


def weights_named_by(name: str) -> str | None:
    """Return the weights that a model config names, relative to its folder, or that are fetched for it."""
    config = read_model_config(name)
    if config.weights is not None:
        return weights_from(model_config_file(name).parent, config.weights)
    return str(config.source.path) if config.source else None


def is_fetched(model: ModelSpec) -> bool:
    """Return whether the weights of a model are those that its model config names a source of."""
    model_config = read_model_config(model.name)
    return model_config.source is not None and model.weights == str(model_config.source.path)


def resolve_model(
    name: str,
    *,
    label: str | None = None,
    options: dict[str, JsonValue] | None = None,
    weights: str | None = None,
    task: TaskKind | None = None,
) -> ModelSpec:
    """Return a model config as a `ModelSpec`, with the given options in place of the model config's.

    Args:
        name: Name as `adapter/config`.
        label, options, weights: Label, options and weights in place of the model config's.
        task: Form of its predictions, where the model config leaves that to its files.

    Raises:
        PluginError: As `read_model_config`, and for a model config of predictions without a model.
    """
    model_config = read_model_config(name)
    kind = model_config.task or task
    if kind is None:
        raise PluginError(
            f"{name} is no model: its predictions are files, which a suite or bench score --predictions scores"
        )
    return ModelSpec(
        name=name,
        label=label or name,
        adapter=name.split("/", 1)[0],
        task=kind,
        description=model_config.description,
        options={**found_from(model_config_file(name).parent, model_config.options), **(options or {})},
        weights=weights or weights_named_by(name),
        trainable=model_config.trainable,
        # Weights of the user's own need not be in the label space of the model config's.
        trained_on=model_config.trained_on if weights is None else None,
    )
