"""`bench new metric`: a metric of your own and a test with known answers."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.cli.commands.new._module import add_name_and_folder, write_module

HELP = "write a metric of your own and a test with known answers"
ORDER = 2


def add_arguments(parser: ArgumentParser) -> None:
    add_name_and_folder(parser, "metric")


def execute(options: Namespace) -> int:
    """Write the files, and say what to type next."""
    return write_module(options, "metric", "metrics: [NAME]")
