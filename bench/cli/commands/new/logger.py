"""`bench new logger`: a logger of your own, a copy of results for another tool, and its test."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.cli.commands.new._module import add_name_and_folder, write_module

HELP = "write a logger of your own, a copy of results for another tool, and its test"
ORDER = 4


def add_arguments(parser: ArgumentParser) -> None:
    add_name_and_folder(parser, "logger")


def execute(options: Namespace) -> int:
    """Write the files, and say what to type next."""
    return write_module(options, "logger", "loggers: [NAME]")
