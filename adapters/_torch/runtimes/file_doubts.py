"""Compares what a file states about its input with what it is fed: flags for the record, none of them certain."""

from __future__ import annotations

from adapters._torch.input import DEFAULT, STATED, InputContract
from adapters._torch.runtimes.cpu_sessions import Port
from adapters._torch.runtimes.file_inputs import takes_bytes
from adapters._torch.runtimes.file_metadata import FileMetadata
from bench.records.flag import Flag

SLACK = 0.1
"""Share of the range of a quantised input that what is fed may lie outside of it."""

LEAST_USED = 0.7
"""Share of that range that what is fed uses at least: half of it means another scale."""


def doubts_of_input(
    contract: InputContract, port: Port, metadata: FileMetadata, said: InputContract | None
) -> list[Flag]:
    """Return flags where a file is fed other numbers than its exporter, what it states, or its quantisation say."""
    stated = [] if said is None or takes_bytes(port) else _of_statement(contract, said)
    return [*_of_ultralytics(contract, metadata), *stated, *_of_range(contract, port)]


def _of_ultralytics(contract: InputContract, metadata: FileMetadata) -> list[Flag]:
    mean, std = contract.mean, contract.std
    if not metadata.by_ultralytics or ({*mean} == {0.0} and {*std} == {1.0}):
        return []
    seen = f"Ultralytics exported the file, whose networks see 0 to 1, and it is fed mean {mean}, std {std}"
    advice = "set options: {mean: 0, std: 1, fit: letterbox, fill: [114, 114, 114], interpolation: linear}"
    return [Flag(name="input_unlike_training", seen=seen, advice=advice)]


def _of_statement(contract: InputContract, said: InputContract) -> list[Flag]:
    mean, std = (values * len(contract.mean) if len(values) == 1 else values for values in (said.mean, said.std))
    pairs = [*zip(mean, contract.mean, strict=False), *zip(std, contract.std, strict=False)]
    of_numbers = said.sources()["mean"] == DEFAULT or all(abs(a - b) < 1e-3 for a, b in pairs)
    of_colours = said.sources()["channels"] == DEFAULT or said.channels == contract.channels
    if of_numbers and of_colours:
        return []
    theirs = f"mean {_describe(said.mean)}, std {_describe(said.std)}, {said.channels}"
    seen = (
        f"{said.said_by} says {theirs}, and it is fed mean {_describe(contract.mean)}, std {_describe(contract.std)}, "
        f"{contract.channels}"
    )
    line = f"mean: {_describe(said.mean)}, std: {_describe(said.std)}, channels: {said.channels}"
    return [Flag(name="input_unlike_training", seen=seen, advice=f"set options: {{input: {{{line}}}}}")]


USUAL = (("0 to 1", 0.0, 1.0), ("-1 to 1", -1.0, 1.0), ("0 to 255", 0.0, 255.0))
"""Ranges that images are commonly scaled to."""

CLOSE = 0.02
"""Share of the span of a range by which its ends may lie elsewhere: 8 bits have 256 steps."""


def contract_of_range(port: Port) -> InputContract | None:
    """Return the preprocessing that the range of a quantised input gives away; None where it is none of the usual."""
    if port.range is None:
        return None
    for told, low, high in USUAL:
        span = high - low
        if max(abs(port.range[0] - low), abs(port.range[1] - high)) <= CLOSE * span:
            said = f"the range of its quantised input, {told}"
            silent = tuple((name, DEFAULT) for name in STATED if name not in ("mean", "std"))
            return InputContract((-low / span,), (1 / span,), said_by=said, stated=silent)
    return None


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
        f"(mean {_describe(contract.mean)}, std {_describe(contract.std)})"
    )
    line = f"{{mean: {-held[0] / span:.3g}, std: {1 / span:.3g}}}"
    advice = f"if all of its range is that of an image, set options: {line}"
    return [Flag(name="input_unlike_training", seen=seen, advice=advice)]


def _describe(values: tuple[float, ...]) -> str:
    """Return numbers as YAML has them.

    >>> _describe((0.485, 0.5)), _describe((0.0, 0.0))
    ('[0.485, 0.5]', '0')
    """
    if len(set(values)) == 1:
        return f"{values[0]:.4g}"
    return f"[{', '.join(f'{value:.4g}' for value in values)}]"
