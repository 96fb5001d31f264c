"""The command line: arguments -> one call -> exit code. Each command is a file in `commands/`, found by its name.

Exit codes: 0 success, 1 some case failed, 2 usage error (the message says how to fix it), 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import gc
import importlib
import keyword
import os
import pkgutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from bench import __version__
from bench.cli.arguments import MODULES_OUTSIDE, Parser, common
from bench.cli.deprecated import add_old_actions, with_old_spellings
from bench.cli.interruptions import interruptible
from bench.cli.streams import forget_output, open_streams

GROUPS = ("compare models", "your data", "environment")
"""Headings in `bench --help`."""

COMMANDS = "bench.cli.commands"
LONGEST_MESSAGE = 6000
"""Characters of a message that are shown; a longer one quotes a file of others."""
EXIT_USAGE_ERROR, EXIT_INTERRUPTED = 2, 130
COLLECTED_AFTER = 50_000
"""New objects after which Python looks for some that hold each other alone; workers look as often as Python does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    interrupted = threading.Event()
    if arguments is None:  # modules, records and rows of files are kept: to look through them often takes seconds
        gc.set_threshold(COLLECTED_AFTER, 20, 20)
    open_streams(own_process=arguments is None)
    try:
        with interruptible(interrupted):
            return _execute(arguments)
    except BaseException as error:
        # Some libraries make another exception of an interruption that comes while they are imported.
        if not interrupted.is_set() and not isinstance(error, KeyboardInterrupt):
            raise
        if arguments is None:  # the process ends now, and a second Ctrl-C could only cut the sentence off
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\ninterrupted; the same command goes on from here.", file=sys.stderr)
        return EXIT_INTERRUPTED


def _execute(arguments: Sequence[str] | None) -> int:
    options = with_old_spellings(_parsed(arguments))
    for kind in ("adapters", *MODULES_OUTSIDE):
        if getattr(options, kind):
            folders = os.pathsep.join(str(Path(folder).resolve()) for folder in getattr(options, kind))
            os.environ[f"BENCH_{kind.upper()}"] = folders
    if getattr(options, "rehash", False):
        os.environ["BENCH_REHASH"] = str(time.time_ns())
    from bench.errors import BenchError

    try:
        file = command(*[options.command, options.action] if "action" in options else [options.command])
        if "://" in options.results and not getattr(file, "RESULTS_AT_URL", False):
            raise BenchError(_NO_FOLDER.format(options.results))
        code: int = file.execute(options)
        sys.stdout.flush()
    except BenchError as error:
        _say(f"bench {options.command}: {error}")
        return EXIT_USAGE_ERROR
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        forget_output()
        _say(f"bench {options.command}: {_describe(error)}")
        return EXIT_USAGE_ERROR
    return code


_NO_FOLDER = (
    "--results {0} is no folder, and this command works on one. Write the run as an archive with: bench export RUN "
    "run.tar --results {0}; then: bench import run.tar"
)
"""The message of a command that is given results behind a URL and cannot read them."""


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; images and a RUN may follow options, which argparse alone refuses."""
    top = parser()
    options, further = top.parse_known_args([*map(_at_home, sys.argv[1:] if arguments is None else arguments)])
    if any(word.startswith("-") for word in further):
        top.error(f"unrecognized arguments: {' '.join(further)}")
    if "words" in options:
        options.words += further
    elif len(further) == 1 and "run" in options and options.run is None:
        options.run = further[0]  # argparse of before Python 3.12 misses an optional argument behind an option
    elif further:
        top.error(f"unrecognized arguments: {' '.join(further)}")
    return options


def _at_home(word: str) -> str:
    """Return a word with `~` as the home folder where shells leave it: `--results=~/x`, `fake=~/venv/bin/python`."""
    before, equals, path = word.partition("=~")
    if equals:
        return f"{before}={os.path.expanduser(f'~{path}')}"  # noqa: PTH111 - an unknown user stays as written
    return os.path.expanduser(word)  # noqa: PTH111


_OF_THE_MACHINE = {
    errno.ENOSPC: "make room, or give another folder with --results",
    errno.EDQUOT: "your quota is used up: make room, or give another folder with --results",
    errno.EFBIG: "files may not be so large here: raise the limit (ulimit -f), or give another folder with --results",
    errno.EMFILE: "this process may open no more files: raise the limit (ulimit -n)",
    errno.ENFILE: "this machine may open no more files: end what has many open",
    errno.EPIPE: "whoever was to read it has gone away",
    errno.EIO: "the disk or its network fails: look at the system's log, or give another folder with --results",
    errno.EROFS: "give a folder that can be written with --results",
    errno.EACCES: "change its permissions, or give another folder with --results",
    errno.EPERM: "change its permissions, or give another folder with --results",
    errno.ENOTDIR: "a file or a link that leads nowhere stands where a folder is needed: remove it, or give another "
    "folder with --results",
    errno.EISDIR: "a folder stands where a file is to be written: move it away",
    errno.EEXIST: "a file or a link that leads nowhere stands where a folder is needed: remove it, or give another "
    "folder with --results",
    errno.ELOOP: "its links lead in a circle: remove one of them",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""Error number of a refusal by the system that the user can fix -> how to fix it."""


def _describe(error: OSError) -> str:
    place = error.filename2 or error.filename  # of a file that replaces another, the other
    where = f" ({place})" if place else ""
    return f"{error.strerror}{where}; {_OF_THE_MACHINE[error.errno or 0]}. Finished work is kept."


def _say(text: str) -> None:
    """Print to standard error what may hold file names that are not text, or anything else of a file of others."""
    from bench.errors import visible

    shown = visible(text)
    print(shown if len(shown) <= LONGEST_MESSAGE else f"{shown[:LONGEST_MESSAGE]} …", file=sys.stderr)


def parser() -> Parser:
    """Return the command line, made of the files in `commands/`."""
    top = Parser(
        prog="bench",
        description="Compare segmentation models of any framework with the same metric code and timing protocol.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"segbench {__version__}")
    parsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    found = found_commands()
    for name, file in found.items():
        if actions := found_commands(name):
            group = parsers.add_parser(name, description=file.HELP)
            action_parsers = group.add_subparsers(dest="action", required=True, metavar="ACTION")
            for action, its in actions.items():
                one = action_parsers.add_parser(action, parents=[common()], description=its.HELP, help=its.HELP)
                its.add_arguments(one)
            add_old_actions(name, action_parsers, parents=[common()])
        else:
            file.add_arguments(parsers.add_parser(name, parents=[common()], description=file.HELP))
    top.epilog = _grouped(found)
    return top


def command(*words: str) -> ModuleType:
    """Return the file of a command, or of an action of a command."""
    files = (f"{word}_" if keyword.iskeyword(word) else word for word in words)
    return importlib.import_module(".".join((COMMANDS, *files)).replace("-", "_"))


def found_commands(*above: str) -> dict[str, ModuleType]:
    """Return the commands, or the actions of a command, by name, in the order of the help; see `bench.cli.commands`."""
    folders = getattr(command(*above), "__path__", ())
    names = [
        module.name.rstrip("_").replace("_", "-")
        for module in pkgutil.iter_modules(folders)
        if not module.name.startswith("_")
    ]
    files = {name: command(*above, name) for name in names}
    return dict(sorted(files.items(), key=lambda one: (one[1].ORDER, one[0])))


def _grouped(found: dict[str, ModuleType]) -> str:
    """The commands under what they are for."""
    lines = []
    width = max(map(len, found))
    for heading in GROUPS:
        lines += [
            f"{heading}:",
            *(f"  {n:<{width}} {file.HELP}" for n, file in found.items() if heading == file.GROUP),
            "",
        ]
    return "\n".join([*lines, "For help on a command: bench COMMAND --help"])


if __name__ == "__main__":
    sys.exit(main())
