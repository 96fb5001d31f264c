"""Finds the images that a command line names: folders, globs, single files, lists of files, videos."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.data.formats.image_files import IMAGE_SUFFIXES
from bench.data.formats.image_headers import named_in_text
from bench.errors import BenchError, did_you_mean
from bench.records.damage import text_of
from bench.run.predict.worker.request import Item, OverlayForm

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
LIST_SUFFIXES = (".txt", ".lst")


@dataclass(frozen=True)
class Source:
    """A file to predict.

    Attributes:
        path: Absolute; symbolic links are not followed, so that outputs are named as the user sees the file.
        relative: Path below the folder that was named, or the file's name alone.
    """

    path: Path
    relative: PurePosixPath

    @property
    def is_video(self) -> bool:
        """Return whether its name says that it has frames."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


def find_sources(words: Sequence[str], *, out: Path, own: Iterable[Path]) -> list[Source]:
    """Return the files that the words of a command line name, each once, in order.

    Args:
        words: Folders (searched with their sub-folders), files, globs, list files.
        out: Output folder; what lies in it is no input of a folder.
        own: Absolute paths that earlier calls wrote; no inputs either.

    Raises:
        BenchError: If a word names nothing, there is no image at all, or a name is not text in UTF-8.
    """
    if not words:
        raise BenchError("no images are given; name files, folders or globs, for example: photos/ 'more/*.jpg'")
    written = set(own)
    found: dict[Path, Source] = {}
    for word in words:
        named = list(_named(word, absolute(out), written))
        if not named:
            raise BenchError(
                f"{word}: there is no image in it; known are the suffixes {' '.join(IMAGE_SUFFIXES)}, and for a file "
                f"named by itself {' '.join(VIDEO_SUFFIXES)}."
            )
        for source in named:
            found.setdefault(named_in_text(source.path), source)
    return list(found.values())


def _named(word: str, out: Path, written: set[Path]) -> Iterator[Source]:
    path = Path(word)
    if path.is_dir():
        if absolute(path) == out:
            raise BenchError(f"--out {out} is the folder of the images; name another, for example {out}-predicted")
        yield from _in_folder(absolute(path), out, written)
    elif path.is_file():
        yield from _listed(path) if path.suffix.lower() in LIST_SUFFIXES else [_single(path)]
    elif glob.has_magic(word):
        yield from _matching(word, written)
    else:
        raise _nothing_at(path)


def _in_folder(folder: Path, out: Path, written: set[Path]) -> Iterator[Source]:
    for parent, folders, files in os.walk(folder, followlinks=False):
        here = Path(parent)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and here / name != out)
        for name in sorted(files):
            path = here / name
            image = path.suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
            if image and path not in written:
                yield Source(path, PurePosixPath(path.relative_to(folder).as_posix()))


def passed_over(words: Sequence[str], *, out: Path, own: Iterable[Path]) -> list[str]:
    """Return what lies in the folders that are named and is no image by its suffix, a sentence for each folder that has
    any.

    Hidden files and folders are counted together, files by suffix; what earlier calls wrote is not counted.
    """
    written, told = set(own), []
    for word in (word for word in words if Path(word).is_dir()):
        folder, counted = absolute(Path(word)), Counter[str]()
        for parent, folders, files in os.walk(folder, followlinks=False):
            counted["hidden"] += sum(name.startswith(".") for name in (*folders, *files))
            folders[:] = [name for name in folders if not name.startswith(".") and Path(parent) / name != absolute(out)]
            others = [name for name in files if not name.startswith(".") and Path(parent) / name not in written]
            suffixes = [Path(name).suffix.lower() for name in others]
            counted.update(suffix or "without a suffix" for suffix in suffixes if suffix not in IMAGE_SUFFIXES)
        shown = ", ".join(f"{count} {what}" for what, count in counted.most_common() if count)
        videos = " (a video is predicted where it is named by itself)" if set(counted) & {*VIDEO_SUFFIXES} else ""
        told += [f"{word}: passed over, being no images: {shown}{videos}"] if shown else []
    return told


def _matching(pattern: str, written: set[Path]) -> Iterator[Source]:
    known = (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
    matches = [Path(match) for match in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207 - a pattern may begin anywhere
    files = [absolute(match) for match in matches if match.is_file() and match.suffix.lower() in known]
    files = [path for path in files if path not in written]
    root = Path(os.path.commonpath([path.parent for path in files])) if files else Path()
    for path in files:
        yield Source(path, PurePosixPath(path.relative_to(root).as_posix()))


def _listed(file: Path) -> Iterator[Source]:
    """Yield files named in a list, one a line, relative to the list; `#` begins a line of comment."""
    try:
        lines = text_of(file).splitlines()
    except UnicodeDecodeError:
        raise BenchError(f"{file} is no list of files: it is not text in UTF-8. One path a line is expected.") from None
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name or name.startswith("#"):
            continue
        path = file.parent / name
        if not path.is_file():
            raise BenchError(f"{file}, line {number}: there is no file {path}; paths are relative to the list.")
        relative = PurePosixPath(path.name if Path(name).is_absolute() or ".." in Path(name).parts else name)
        yield Source(absolute(path), relative)


def _single(path: Path) -> Source:
    return Source(absolute(path), PurePosixPath(path.name))


def _nothing_at(path: Path) -> BenchError:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    return BenchError(
        f"there is no file or folder {path}.{did_you_mean(path.name, siblings)} "
        "Images are named by folder, file, glob (in quotes) or a .txt file with a path a line."
    )


def absolute(path: Path) -> Path:
    """Return the path from the root, without `..`; symbolic links stay."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - without following links, unlike Path.resolve


def named_items(sources: Sequence[Source], taken: dict[str, Item], suffixes: Sequence[str]) -> list[Item]:
    """Give every source a name below the output folder under which no two write the same file.

    A source keeps the name that an earlier call gave it. Others are called by their path without
    suffix; where that is taken (also on file systems that ignore case), with the suffix, then with `~2` …

    Args:
        sources: Sources in order.
        taken: Earlier items by source path.
        suffixes: Suffixes that complete a name, for example `.png` and `_overlay.jpg`.
    """
    used = {f"{item.name}{suffix}".casefold() for item in taken.values() for suffix in suffixes}
    items = []
    for source in sources:
        key = str(source.path)
        if key in taken:
            items.append(taken[key])
            continue
        name = next(name for name in _candidates(source) if not used & _files(name, suffixes))
        used |= _files(name, suffixes)
        items.append(Item(source=key, name=name, kind="video" if source.is_video else "image"))
    return items


def _files(name: str, suffixes: Sequence[str]) -> set[str]:
    return {f"{name}{suffix}".casefold() for suffix in suffixes}


def _candidates(source: Source) -> Iterator[str]:
    plain = str(source.relative.with_suffix(""))
    yield plain
    yield str(source.relative)
    number = 2
    while True:
        yield f"{plain}~{number}"
        number += 1


def output_suffixes(task: str, overlay: OverlayForm) -> tuple[str, ...]:
    """Return what completes a name to the files of an image; a video has a folder of its name and an mp4."""
    of_task = {
        "semantic": (".png", "_palette.png"),
        "instance": (".json",),
        "panoptic": (".png", ".json"),
    }[task]
    return (*of_task, f"_overlay.{overlay}", "_overlay.mp4", "/")
