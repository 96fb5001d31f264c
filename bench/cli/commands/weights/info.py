"""`bench weights info`: what a file of weights is, what it fits, and the lines of a suite that use it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bench.cli.arguments import add_interpreters, interpreters_of

HELP = "identify a weights file, list the models that it fits, and say how to use it"
ORDER = 1


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="file or folder of weights")
    parser.add_argument("--adapter", metavar="NAME", help="try only the models of this adapter")
    add_interpreters(parser)


def execute(options: Namespace) -> int:
    """Print what the file is; nothing of it is run."""
    from bench.data.formats.home import expanded
    from bench.run.predict.weights_info import describe_weights

    print(describe_weights(expanded(options.file), interpreters_of(options), options.adapter))
    return 0
