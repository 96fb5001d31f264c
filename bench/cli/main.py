"""The command line: arguments -> one call -> exit code. Everything else is imported when needed.

Exit codes: 0 success, 1 some case failed, 2 usage error (the message says how to fix it), 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from bench import __version__
from bench.cli.deprecated import Renamed, with_old_spellings

JOB_KINDS = ("train", "export", "predict", "time", "profile", "throughput")
"""As in `bench.records`, which takes too long to import for `bench --help`."""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

GROUPS = {
    "compare models": ("run", "check", "report", "score", "repro"),
    "your data": ("data", "preview", "predict"),
    "environment": ("doctor", "env", "list", "schema"),
}
"""Heading in `bench --help` -> commands."""

LISTINGS = ("models", "datasets", "metrics", "adapters", "reports", "loggers")
EXIT_FAILED_CASE, EXIT_USAGE_ERROR, EXIT_INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = with_old_spellings(_parsed(arguments))
    if options.adapters:
        os.environ["BENCH_ADAPTERS"] = os.pathsep.join(str(Path(folder).resolve()) for folder in options.adapters)
    if getattr(options, "rehash", False):
        os.environ["BENCH_REHASH"] = "1"
    from bench.errors import BenchError

    try:
        with _terminated_like_interrupted():
            from bench.cli import run as commands

            code: int = getattr(commands, f"{options.command}_command")(options)
            sys.stdout.flush()
    except BenchError as error:
        _say(f"bench {options.command}: {error}")
        return EXIT_USAGE_ERROR
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has seen enough; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        _say(f"bench {options.command}: {_told(error)}")
        return EXIT_USAGE_ERROR
    return code


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; images and a RUN may follow options, which argparse alone refuses."""
    top = parser()
    options, further = top.parse_known_args(arguments)
    if any(word.startswith("-") for word in further):
        top.error(f"unrecognized arguments: {' '.join(further)}")
    if options.command == "predict":
        options.words += further
    elif len(further) == 1 and "run" in options and options.run is None:
        options.run = further[0]  # argparse of before Python 3.12 misses an optional argument behind an option
    elif further:
        top.error(f"unrecognized arguments: {' '.join(further)}")
    return options


_OF_THE_MACHINE = {
    errno.ENOSPC: "make room, or give another folder with --results",
    errno.EDQUOT: "your quota is used up: make room, or give another folder with --results",
    errno.EROFS: "give a folder that can be written with --results",
    errno.EACCES: "change its permissions, or give another folder with --results",
    errno.EPERM: "change its permissions, or give another folder with --results",
    errno.ENOTDIR: "a file or a link that leads nowhere stands where a folder is needed: remove it, or give another "
    "folder with --results",
    errno.EEXIST: "a file or a link that leads nowhere stands where a folder is needed: remove it, or give another "
    "folder with --results",
    errno.ELOOP: "its links lead in a circle: remove one of them",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What the system refuses for reasons that are the user's to fix, and how."""


def _told(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return f"{error.strerror}{where}; {_OF_THE_MACHINE[error.errno or 0]}. What is done so far is kept."


def _say(text: str) -> None:
    """Print to standard error what may hold file names that are not text."""
    print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C: the job in flight is ended, and the next run goes on from there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Compare segmentation models of any framework with the same metric code and timing protocol.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"segbench {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--results", default="results", metavar="DIR", help="folder of all results (default: results)")
    common.add_argument(
        "--adapters", action="append", metavar="DIR", help="folder with further adapters, one folder each; repeatable"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", parents=[common], description="run a suite; finished jobs are skipped")
    run.add_argument("suite", metavar="SUITE.yaml")
    run.add_argument("--new", action="store_true", help="start a new run instead of resuming the latest")
    _add_selection(run)
    _add_start(run)
    _add_interpreters(run)
    _add_rehash(run)

    check = commands.add_parser("check", parents=[common], description="validate a suite and show what would run")
    check.add_argument("suite", metavar="SUITE.yaml")
    _add_interpreters(check)
    _add_rehash(check)

    preview = commands.add_parser(
        "preview", parents=[common], description="draw what a suite's recipes make of its images"
    )
    preview.add_argument("suite", metavar="SUITE.yaml")
    preview.add_argument("--out", required=True, metavar="DIR", help="folder for the contact sheets")
    preview.add_argument("--images", type=int, default=4, metavar="N", help="images a sheet (default: 4)")
    _add_interpreters(preview)

    _add_predict(commands, common)
    report = commands.add_parser("report", parents=[common], description="print the report of a run")
    _add_run_choice(report)
    report.add_argument("--run", dest="old_run", action=Renamed, const="bench report RUN", help=argparse.SUPPRESS)
    report.add_argument("--suite", help="newest run of this suite")
    report.add_argument("--as", dest="form", default="markdown", metavar="FORM", help="see: bench list reports")
    report.add_argument("--out", metavar="PATH", help="write there; a folder gets the whole report with its pictures")

    score = commands.add_parser("score", parents=[common], description="score the stored predictions of a run again")
    _add_run_choice(score)
    score.add_argument("--suite", help="newest run of this suite")

    listing = commands.add_parser("list", parents=[common], description="list what a suite can name")
    listing.add_argument("what", choices=LISTINGS)
    listing.add_argument(
        "--as", dest="form", default="text", choices=("text", "markdown"), help="form of the table (default: text)"
    )

    _add_data(commands, common)
    _add_env(commands, common)
    _add_repro(commands, common)
    commands.add_parser("schema", parents=[common], description="print the JSON Schema of a suite, for editors")
    doctor = commands.add_parser("doctor", parents=[common], description="show what is ready, and how to fix the rest")
    doctor.add_argument(
        "--strict", action="store_true", help="exit with 1 if the machine or an adapter lacks something"
    )
    doctor.add_argument("--data", action="store_true", help="list every data set, with how to get it")
    _add_interpreters(doctor)
    parser.epilog = _grouped(commands)
    return parser


def _grouped(commands: Commands) -> str:
    """The commands under what they are for; `test_cli` holds that none is left out."""
    lines = []
    for heading, names in GROUPS.items():
        lines += [f"{heading}:", *(f"  {name:<9} {commands.choices[name].description}" for name in names), ""]
    return "\n".join([*lines, "bench COMMAND --help says more."])


def _add_predict(commands: Commands, common: argparse.ArgumentParser) -> None:
    predict = commands.add_parser("predict", parents=[common], description="write masks and overlays of your images")
    predict.add_argument(
        "words",
        nargs="+",
        metavar="[MODEL|RUN] IMAGE",
        help="a model (see: bench list models) or a run, and images: folders, files, 'globs', .txt lists, videos; "
        "with --case alone the newest run",
    )
    predict.add_argument("--out", required=True, metavar="DIR", help="folder for masks, overlays and predictions.json")
    predict.add_argument(
        "--run", action=Renamed, const="bench predict RUN --case PATTERN IMAGE …", help=argparse.SUPPRESS
    )
    _add_case(predict)
    predict.add_argument("--weights", metavar="PATH", help="weights file; segbench's own files carry class names")
    predict.add_argument("--classes", metavar="FILE.yaml", help="class names for other weights, in output order")
    predict.add_argument("--threshold", type=float, metavar="T", help="threshold for sigmoid heads, 0 to 1")
    predict.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the model, in YAML; repeatable",
    )
    predict.add_argument("--device", metavar="DEVICE", help="auto, cpu, cuda, cuda:1 (default: auto, or the case's)")
    predict.add_argument("--precision", choices=("fp32", "tf32", "fp16", "bf16"), help="(default: fp32, or the case's)")
    predict.add_argument("--batch-size", type=int, metavar="N", help="images at a time (default: 1, or the case's)")
    predict.add_argument(
        "--image-size", metavar="H,W", help="size of the network's input (default: each image's own, or the case's)"
    )
    predict.add_argument("--every", type=int, default=1, metavar="N", help="process every Nth video frame (default: 1)")
    predict.add_argument("--overlay", choices=("jpg", "png"), default="jpg", help="form of overlays (default: jpg)")
    predict.add_argument("--overwrite", action="store_true", help="predict again what is there")
    _add_interpreters(predict)


def _add_data(commands: Commands, common: argparse.ArgumentParser) -> None:
    data = commands.add_parser("data", description="look at a data set: what it is, whether it is sound, what is in it")
    actions = data.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", parents=[common])  # hidden: bench list datasets

    detect = actions.add_parser("detect", parents=[common], help="say what a folder seems to be, and how to open it")
    detect.add_argument("folder", metavar="DIR", help="folder with images and annotations")

    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("name", nargs="?", metavar="NAME", help="see: bench list datasets")
    chosen.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the data set, in YAML; repeatable"
    )
    chosen.add_argument("--suite", metavar="FILE", help="take the data set and its options from this suite")
    chosen.add_argument("--dataset", metavar="LABEL", help="which data set of the suite")
    splits = argparse.ArgumentParser(add_help=False)
    splits.add_argument(
        "--split", action="append", default=[], metavar="SPLIT", help="only this split; repeatable (default: all)"
    )
    passes = argparse.ArgumentParser(add_help=False)
    passes.add_argument("--jobs", type=int, metavar="N", help="processes (default: one for each core)")
    passes.add_argument("--cache", metavar="DIR", help="folder that remembers what was seen (default: RESULTS/data)")

    _action(actions, "info", [common, chosen], "show source, terms, how to get it, splits and classes")
    check = _action(
        actions, "check", [common, chosen, splits, passes], "read every image and mask, and list what is wrong"
    )
    check.add_argument(
        "--show", type=int, default=10, metavar="N", help="files listed per finding; 0 = all (default: 10)"
    )
    check.add_argument("--strict", action="store_true", help="exit with 1 for a note, too")
    check.add_argument("--out", metavar="FILE", help="write all findings there as JSON")
    stats = _action(
        actions, "stats", [common, chosen, splits, passes], "count classes, objects and sizes, and draw them"
    )
    stats.add_argument(
        "--out", metavar="FILE.png", help="where the picture goes (default: RESULTS/data/NAME-stats.png)"
    )
    preview = _action(actions, "preview", [common, chosen, splits], "draw images with their annotations")
    preview.add_argument("--images", type=int, default=6, metavar="N", help="images on the sheet (default: 6)")
    preview.add_argument(
        "--out", metavar="FILE.png", help="where the sheet goes (default: RESULTS/data/NAME-preview.png)"
    )
    export = _action(actions, "export", [common, chosen], "write it in another format")
    export.add_argument("--as", dest="form", required=True, metavar="FORMAT", help="name of the data set that reads it")
    export.add_argument("--out", required=True, metavar="DIR", help="new or empty folder")
    export.add_argument(
        "--rename",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="class of the data set = class there; repeatable",
    )
    _add_prepare(actions, common)


def _add_prepare(actions: Commands, common: argparse.ArgumentParser) -> None:
    prepare = _action(actions, "prepare", [common], "fetch and unpack one whose address is public")
    prepare.add_argument("name", metavar="NAME", help="see: bench list datasets")
    prepare.add_argument("--out", required=True, metavar="DIR", help="new or empty folder, or one to go on with")
    prepare.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="PART",
        help="what to fetch; repeatable (see: bench data info NAME)",
    )
    prepare.add_argument("--keep-archives", action="store_true", help="keep what was fetched once it is unpacked")


def _add_selection(parser: argparse.ArgumentParser) -> None:
    _add_case(parser)
    parser.add_argument("--only", dest="case", action=Renamed, const="--case PATTERN", help=argparse.SUPPRESS)
    parser.add_argument("--kind", action="append", choices=JOB_KINDS, help="only jobs of this kind; repeatable")


def _add_start(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--fresh-interpreters",
        action="store_true",
        help="import the framework anew for each job, instead of forking from a parent that has",
    )


def _add_rehash(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rehash", action="store_true", help="read every file of the data sets, even if it looks unchanged"
    )


def _add_interpreters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="ADAPTER=PATH",
        help="interpreter that runs an adapter; repeatable (default: the one that runs bench)",
    )

    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="ADAPTER",
        help="run an adapter in the environment that bench env create made for it; repeatable",
    )
    _add_envs(parser)


def _add_envs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--envs",
        metavar="DIR",
        help="folder of environments (default: .venvs beside the adapters, or your data folder)",
    )


def _action(
    actions: Commands, name: str, parents: list[argparse.ArgumentParser], help_text: str
) -> argparse.ArgumentParser:
    """Add an action of a command; its line of help is its description, too."""
    return actions.add_parser(name, parents=parents, help=help_text, description=help_text)


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--find-links", action="append", default=[], metavar="DIR", help="folder with files of packages; repeatable"
    )
    parser.add_argument("--no-index", action="store_true", help="ask no package index")


def _add_env(commands: Commands, common: argparse.ArgumentParser) -> None:
    env = commands.add_parser("env", description="make, list, lock and remove environments of adapters")
    actions = env.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = _action(actions, "create", [common], "make the environment of an adapter")
    create.add_argument("adapter", metavar="ADAPTER", help="see: bench list adapters")
    create.add_argument("--lock", metavar="FILE", help="install exactly this lock (default: the one of bench env lock)")
    create.add_argument("--python", metavar="PYTHON", help="interpreter, or with uv a version (default: that of bench)")
    create.add_argument(
        "--share", action="store_true", help="take NumPy, OpenCV and the like from the interpreter that runs bench"
    )
    create.add_argument("--again", action="store_true", help="make it anew even if it is ready")
    listing = _action(actions, "list", [common], "list the environments and whether they can be used")
    lock = _action(actions, "lock", [common], "write down what is installed, with hashes")
    lock.add_argument("adapter", metavar="ADAPTER")
    for parser in (create, lock):
        _add_sources(parser)
        parser.add_argument(
            "--torch-backend", metavar="NAME", help="build of torch: cpu, cu130, auto, … (default: that of the index)"
        )
    remove = _action(actions, "remove", [common], "remove an environment; its lock stays")
    remove.add_argument("adapter", metavar="NAME", help="see: bench env list")
    sbom = _action(actions, "sbom", [common], "print the packages with versions and licences (CycloneDX)")
    sbom.add_argument("adapter", nargs="?", metavar="ADAPTER", help="(default: the interpreter that runs bench)")
    for parser in (create, listing, lock, remove, sbom):
        _add_envs(parser)


def _add_repro(commands: Commands, common: argparse.ArgumentParser) -> None:
    repro = commands.add_parser("repro", parents=[common], description="run cases of a finished run again, and compare")
    _add_run_choice(repro)
    repro.add_argument("old_case", nargs="?", help=argparse.SUPPRESS)
    repro.add_argument("--dry-run", action="store_true", help="show what differs and what would run; run nothing")
    repro.add_argument("--retrain", action="store_true", help="train again, instead of taking the weights of the run")
    repro.add_argument("--no-timing", action="store_true", help="do not time again")
    repro.add_argument(
        "--rebuild", action="store_true", help="make environments that are gone from the locks of the run"
    )
    repro.add_argument(
        "--pixels",
        type=float,
        default=0.001,
        metavar="SHARE",
        help="fraction of pixels allowed to change on a GPU (default: 0.001)",
    )
    repro.add_argument(
        "--score",
        type=float,
        default=0.001,
        metavar="CHANGE",
        help="allowed score change on a GPU (default: 0.001)",
    )
    _add_sources(repro)
    _add_start(repro)
    _add_interpreters(repro)


def _add_run_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="folder or name of a run (default: the newest)")
    _add_case(parser)


def _add_case(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--case", metavar="PATTERN", help="only cases with this id or model label; * and ? allowed")


if __name__ == "__main__":
    sys.exit(main())
