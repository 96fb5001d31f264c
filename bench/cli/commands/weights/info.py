"""`bench weights info`: what a file of weights is, what it fits, and the lines of a suite that use it."""

from __future__ import annotations

from bench.cli.arguments import Namespace, Parser, add_interpreters, interpreters_of

HELP = "identify a weights file, list the models that it fits, and say how to use it"
ORDER = 1


def add_arguments(parser: Parser) -> None:
    parser.option("file", "FILE", "file or folder of weights")
    parser.option("--adapter", "NAME", "try only the models of this adapter")
    add_interpreters(parser)


def execute(options: Namespace) -> int:
    """Print what the file is; nothing of it is run."""
    from bench.data.formats.home import expanded
    from bench.run.predict.weights_info import describe_weights

    print(describe_weights(expanded(options.file), interpreters_of(options), options.adapter))
    return 0
