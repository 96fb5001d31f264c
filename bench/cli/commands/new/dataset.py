"""`bench new dataset`: a data set of your own and a test that reads what it wrote."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.cli.commands.new._module import add_name_and_folder, write_module

HELP = "write a data set of your own and a test that reads what it wrote"
ORDER = 3


def add_arguments(parser: ArgumentParser) -> None:
    add_name_and_folder(parser, "data set")


def execute(options: Namespace) -> int:
    """Write the files, and say what to type next."""
    return write_module(options, "dataset", "datasets: [{name: NAME, options: {root: …}}]")
