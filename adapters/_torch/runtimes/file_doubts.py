"""Compares what a file states about its input with what it is fed: flags for the record, none of them certain."""

from __future__ import annotations

from adapters._torch.input import InputContract
from adapters._torch.runtimes.cpu_sessions import Port
from adapters._torch.runtimes.file_metadata import FileMetadata
from bench.records.flag import Flag

SLACK = 0.1
"""Share of the range of a quantised input that what is fed may lie outside of it."""

LEAST_USED = 0.7
"""Share of that range that what is fed uses at least: half of it means another scale."""


def doubts_of_input(contract: InputContract, port: Port, metadata: FileMetadata) -> list[Flag]:
    """Return flags where a file is fed other numbers than its exporter, its metadata or its quantisation say."""
    return [*_of_ultralytics(contract, metadata), *_of_metadata(contract, metadata), *_of_range(contract, port)]


def _of_ultralytics(contract: InputContract, metadata: FileMetadata) -> list[Flag]:
    mean, std = contract.mean, contract.std
    if not metadata.by_ultralytics or ({*mean} == {0.0} and {*std} == {1.0}):
        return []
    seen = f"Ultralytics exported the file, whose networks see 0 to 1, and it is fed mean {mean}, std {std}"
    advice = "set options: {mean: 0, std: 1, fit: letterbox, fill: [114, 114, 114], interpolation: linear}"
    return [Flag(name="input_unlike_training", seen=seen, advice=advice)]


def _of_metadata(contract: InputContract, metadata: FileMetadata) -> list[Flag]:
    said = metadata.input
    if said is None or said.said_by == contract.said_by:
        return []
    pairs = ((said.mean, contract.mean), (said.std, contract.std))
    alike = len(said.mean) == len(contract.mean) and said.channels == contract.channels
    if alike and all(abs(a - b) < 1e-3 for theirs, own in pairs for a, b in zip(theirs, own, strict=True)):
        return []
    theirs = f"mean {_told(said.mean)}, std {_told(said.std)}, {said.channels}"
    seen = (
        f"its metadata say {theirs}, and it is fed mean {_told(contract.mean)}, std {_told(contract.std)}, "
        f"{contract.channels}"
    )
    line = f"mean: {_told(said.mean)}, std: {_told(said.std)}, channels: {said.channels}"
    return [Flag(name="input_unlike_training", seen=seen, advice=f"set options: {{input: {{{line}}}}}")]


def _of_range(contract: InputContract, port: Port) -> list[Flag]:
    if port.range is None:
        return []
    pairs = [*zip(contract.mean, contract.std, strict=True)]
    low, high = min((0 - m) / s for m, s in pairs), max((1 - m) / s for m, s in pairs)
    held, span = port.range, port.range[1] - port.range[0]
    outside = max(held[0] - low, high - held[1]) > SLACK * span
    if not outside and high - low >= LEAST_USED * span:
        return []
    seen = (
        f"its quantised input holds {held[0]:.3g} to {held[1]:.3g}, and it is fed {low:.3g} to {high:.3g} "
        f"(mean {_told(contract.mean)}, std {_told(contract.std)})"
    )
    line = f"{{mean: {-held[0] / span:.3g}, std: {1 / span:.3g}}}"
    advice = f"if all of its range is that of an image, set options: {line}"
    return [Flag(name="input_unlike_training", seen=seen, advice=advice)]


def _told(values: tuple[float, ...]) -> str:
    """Return numbers as YAML has them.

    >>> _told((0.485, 0.5)), _told((0.0, 0.0))
    ('[0.485, 0.5]', '0')
    """
    if len(set(values)) == 1:
        return f"{values[0]:.4g}"
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"
