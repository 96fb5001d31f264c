"""Pages that the code knows best, written while mkdocs builds: models, metrics, data sets, commands, schemas.

`mkdocs.yml` names this script for mkdocs-gen-files. Nothing it writes lies in the repository.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import mkdocs_gen_files
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


from bench.cli.main import parser as command_line  # noqa: E402
from bench.data.opening import module_of  # noqa: E402
from bench.dataset import dataset_names  # noqa: E402
from bench.logger import load_logger, logger_names  # noqa: E402
from bench.metric import FromProbabilities, ImageMetric, Metric, load_metric, metric_names  # noqa: E402
from bench.records import CaseScores, Job, Outcome  # noqa: E402
from bench.records.store.views import Plan  # noqa: E402
from bench.suite.model_configs import model_config_files, read_model_config  # noqa: E402
from bench.suite.schema import Suite  # noqa: E402

REPOSITORY_PAGES = {
    "adapters/README.md": "reference/adapters.md",
    "results/README.md": "reference/results.md",
    "bench/README.md": "reference/code.md",
    "CONTRIBUTING.md": "reference/contributing.md",
    "CHANGELOG.md": "reference/changelog.md",
    "docker/README.md": "docker.md",
}
"""File of the repository -> page; each is written once, beside what it describes."""


ATTRIBUTES = re.compile(r"\n\s*Attributes:\n")


def write(page: str, text: str) -> None:
    """Write a page of the site."""
    with mkdocs_gen_files.open(page, "w") as file:
        file.write(text.rstrip() + "\n")


def models() -> str:
    """Every model config, grouped by adapter; the fakes of the tests are left out."""
    lines = [
        "# Models",
        "",
        "Generated from `adapters/*/models/*.yaml`. A suite names a model as `adapter/name`, changes its settings with "
        "`options:` and gives it weights with `weights:`. The same list: `bench list models`.",
    ]
    adapter = ""
    for name in model_config_files():
        if name.startswith("fake/"):
            continue
        if name.partition("/")[0] != adapter:
            adapter = name.partition("/")[0]
            lines += ["", f"## {adapter}", "", "| model | task | description |", "|:--|:--|:--|"]
        config = read_model_config(name)
        lines.append(f"| `{name}` | {config.task or 'any'} | {cell(config.description)} |")
    return "\n".join(lines)


def metrics() -> str:
    """Every metric with its definition, from the docstring of its module."""
    lines = [
        "# Metrics",
        "",
        "Generated from the modules in `bench/metrics/`. How they are pooled, bootstrapped and compared: "
        "[Metrics and statistics](../scoring.md).",
    ]
    for name in metric_names():
        metric = load_metric(name)
        lines += [
            "",
            f"## {name}",
            "",
            f"Column `{metric.label}`; tasks: {', '.join(metric.tasks)}.{_told(metric)}",
            "",
        ]
        lines.append(sections(documentation(f"bench.metrics.{name}")))
    return "\n".join(lines)


def _told(metric: Metric) -> str:
    """What a suite has to know to use a metric: its tolerance, packages and direction."""
    told = f" Takes a tolerance: `{metric.name}@NUMBER`." if hasattr(metric, "at") else ""
    told += "".join(f" Needs the extra `{extra}`." for extra in getattr(metric, "needs", {}).values())
    told += " Needs `keep: probabilities`." if isinstance(metric, FromProbabilities) else ""
    told += "" if metric.higher_is_better else " Lower is better."
    if not isinstance(metric, ImageMetric):
        return f"{told} A single image has no value of it."
    by = getattr(metric, "image_label", metric.label)
    worst = "lowest" if metric.higher_is_better else "highest"
    return f"{told} Images are listed by their own {by}, the {worst} is the worst."


def datasets() -> str:
    """Every data set with source, terms, label types and options."""
    lines = [
        "# Data sets",
        "",
        "Generated from the modules in `bench/datasets/`. How to use one: [Bring my data](../bring_data.md).",
    ]
    known: dict[str, Mapping[str, Any]] = {}
    for name in dataset_names():
        module = module_of(name)
        lines += ["", f"## {name}", "", prose(inspect.cleandoc(module.__doc__ or "")), ""]
        lines += [f"- Source: {cell(module.SOURCE)}", f"- Terms: {cell(module.LICENCE)}"]
        schema = module.Options.model_json_schema()
        handed_on = [meanings({"description": one.__doc__ or ""}) for one in reversed(module.Options.__mro__[1:])]
        inherited = {name: text for found in handed_on for name, text in found.items()}
        lines += [f"- Tasks: {', '.join(module.TASKS)}", "", *fields(schema, inherited)]
        known.update(schema.get("$defs", {}))
    for name in sorted(known):
        if "properties" in known[name]:
            lines += ["", f"## {name}", "", *described(known[name]), *fields(known[name])]
    return "\n".join(lines)


def loggers() -> str:
    """Every experiment tracker, from the docstring of its module."""
    lines = [
        "# Experiment trackers",
        "",
        "Generated from `bench/report/loggers/`. A suite asks for them with `loggers: [name]`.",
    ]
    for name in logger_names():
        lines += ["", f"## {name}", "", prose(documentation(type(load_logger(name)).__module__))]
    return "\n".join(lines)


def commands() -> str:
    """The help of every command and action, as the terminal shows it."""
    os.environ.update(COLUMNS="100", NO_COLOR="1")
    top = command_line()
    lines = ["# Commands", "", "Generated from the command line itself.", "", "```text", top.format_help(), "```"]
    for path, command in subcommands(top):
        lines += ["", f"{'#' * (1 + len(path))} bench {' '.join(path)}", "", "```text", command.format_help(), "```"]
    return "\n".join(lines)


def subcommands(
    parser: argparse.ArgumentParser, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Commands and actions, depth first; those without a description are hidden aliases."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                if command.description:
                    yield (*above, name), command
                    yield from subcommands(command, (*above, name))


def schema_page(title: str, introduction: str, records: Mapping[str, type[BaseModel]]) -> str:
    """The fields of pydantic models and of all that they refer to, a table each."""
    lines = [f"# {title}", "", introduction]
    known: dict[str, Mapping[str, Any]] = {}
    for heading, record in records.items():
        schema = record.model_json_schema()
        lines += ["", f"## {heading}", "", *described(schema), *fields(schema)]
        known.update(schema.get("$defs", {}))
    for name in sorted(known.keys() - {record.__name__ for record in records.values()}):
        if "properties" in known[name] or "enum" in known[name]:
            lines += ["", f"## {name}", "", *described(known[name]), *fields(known[name])]
    return "\n".join(lines)


def described(schema: Mapping[str, Any]) -> list[str]:
    """The description of a schema as prose."""
    text = ATTRIBUTES.split(schema.get("description", ""))[0]
    return [prose(text), ""] if text else []


def meanings(schema: Mapping[str, Any]) -> dict[str, str]:
    """Field -> meaning, from the section `Attributes:` of the docstring; one entry may name several fields."""
    parts = ATTRIBUTES.split(schema.get("description", ""))
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", inspect.cleandoc(parts[1])) if len(parts) > 1 else ():
        names, _, text = entry.partition(": ")
        found.update({name.strip(): text for name in names.split(",")})
    return found


def fields(schema: Mapping[str, Any], inherited: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """A table of the fields of a JSON Schema object; the values of an enumeration in a line.

    `inherited` has the meanings of fields that the schema's own docstring leaves to those of its base classes.
    """
    if "enum" in schema:
        return [f"One of: {', '.join(f'`{value}`' for value in schema['enum'])}."]
    if not schema.get("properties"):
        return []
    said = {**inherited, **meanings(schema)}
    lines = ["| field | type | default | meaning |", "|:--|:--|:--|:--|"]
    for name, field in schema["properties"].items():
        required = name in schema.get("required", ())
        default = "required" if required else f"`{shortened(field['default'])}`" if "default" in field else "–"
        meaning = escaped(field.get("description") or said.get(name, ""))
        lines.append(f"| `{name}` | {cell(kind(field))} | {cell(default)} | {cell(meaning)} |")
    return lines


def kind(field: Mapping[str, Any]) -> str:
    """The type of a field in words: `integer or null`, `list of ModelEntry`."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return name if name in ("JsonValue", "Size") else f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(kind(one) for one in field["anyOf"]))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        items = field.get("items")
        return f"list of {kind(items)}" if items else "list"
    return str(field.get("type", "any"))


def shortened(value: object) -> str:
    """A default as JSON, cut where it is long."""
    return textwrap.shorten(json.dumps(value, ensure_ascii=False), 60, placeholder=" …")


def documentation(module: str) -> str:
    """The docstring of a module that is imported already."""
    return inspect.cleandoc(sys.modules[module].__doc__ or "")


def sections(text: str) -> str:
    """A docstring with headings such as `Definition:` above indented text, as Markdown."""
    parts = re.split(r"^([A-Z][A-Za-z ]+):$", text, flags=re.MULTILINE)
    lines = [prose(parts[0])]
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        lines += ["", f"**{heading}.** {prose(inspect.cleandoc(body).strip())}"]
    return "\n".join(lines)


def prose(text: str) -> str:
    """Docstring text as Markdown: single line breaks join, indented blocks are code, `<` and `[` are literal."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.startswith("    "):
            blocks.append(f"```text\n{textwrap.dedent(block)}\n```")
        elif "\n    " in block:
            head = list(block.split("\n"))
            first = next(number for number, line in enumerate(head) if line.startswith("    "))
            code = textwrap.dedent("\n".join(head[first:]))
            blocks += [escaped(" ".join(head[:first])), f"```text\n{code}\n```"]
        else:
            blocks.append(escaped(block))
    return "\n\n".join(blocks)


def escaped(text: str) -> str:
    """Text whose brackets and asterisks outside of code are no Markdown."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([<\[*_|])", r"\\\1", part) for part in parts)


def cell(text: str) -> str:
    """Text for a cell of a table: one line, bars escaped."""
    return re.sub(r"(?<!\\\\)\|", r"\\|", " ".join(text.split()))


def repository_page(source: str, page: str) -> None:
    """A README of the repository as a page; links to files that are no page become plain text."""

    def link(match: re.Match[str]) -> str:
        """Return the link as the page needs it."""
        label, target = match.group(1), match.group(2)
        if "://" in target or target.startswith("#"):
            return match.group(0)
        file = os.path.normpath(PurePosixPath(source).parent / target)
        known = REPOSITORY_PAGES.get(file) or (file[5:] if file.startswith("docs/") else None)
        if known is None:
            return f"{label} (`{file}`)" if label.strip("`") != file else f"`{file}`"
        return f"[{label}]({os.path.relpath(known, PurePosixPath(page).parent)})"

    write(page, re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", link, (ROOT / source).read_text(encoding="utf-8")))


for source, page in REPOSITORY_PAGES.items():
    repository_page(source, page)
write("reference/models.md", models())
write("reference/metrics.md", metrics())
write("reference/datasets.md", datasets())
write("reference/loggers.md", loggers())
write("reference/commands.md", commands())
write(
    "reference/suite.md",
    schema_page(
        "Suite schema",
        "Generated from the types that read suites. `bench schema` prints the same as JSON Schema, for editors.",
        {"Suite": Suite},
    ),
)
write(
    "reference/records.md",
    schema_page(
        "Record format",
        "Generated from the types that read and write records. Where the files lie: [Files of a run](results.md).",
        {"plan.json": Plan, "job.json": Job, "outcome.json": Outcome, "scores": CaseScores},
    ),
)
for picture in ("accuracy_latency.png",):
    with mkdocs_gen_files.open(f"assets/{picture}", "wb") as file:
        file.write((ROOT / "results/reference/semantic-cpu" / picture).read_bytes())
