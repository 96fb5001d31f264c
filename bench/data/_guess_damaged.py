"""Folders of a known format whose files cannot be read or are not all there, and what is known but not read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.data._guess import HEAD, MOST_JSON, Guess, Listing, document_of
from bench.data._guess_formats import image_folder
from bench.records.damage import head_of

WORDS: Mapping[str, tuple[bytes, ...]] = {
    "labelme": (b'"shapes"', b'"imagePath"'),
    "coco": (b'"images"', b'"file_name"'),
    "label_studio": (b'"annotations"', b'"result"'),
}
"""Format -> words that the beginning of its JSON files has."""
PACKED = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".rar", ".7z")


def damaged_guesses(listing: Listing) -> Iterator[Guess]:
    """Yield what a folder is by words in its files, though they are damaged or some are missing; opening it tells."""
    yield from _of_json(listing)
    if listing.has(r"(.*/)?ann/.*\.json$") and listing.has(r"(.*/)?img/") and not listing.has(r"meta\.json$"):
        yield Guess("supervisely", {}, ("it has folders ann and img, as Supervisely has them; meta.json is missing",))
    documents = [path for path in listing.paths if path.lower().endswith(".xml") and path.count("/") < 2]
    for path in [path for path in documents if path != "annotations.xml"][:MOST_JSON]:
        head = _head(listing.root / path)
        if b"<annotations" in head and (b"<image " in head or b"<track " in head):
            yield Guess("cvat", {"file": path}, (f"{path} has images or tracks within annotations, as CVAT's",))
            return


def _of_json(listing: Listing) -> Iterator[Guess]:
    files = [path for path in listing.paths if path.lower().endswith(".json")]
    seen: set[str] = set()
    for path in files[:: max(1, len(files) // MOST_JSON)]:
        if document_of(listing.root / path) is not None:
            continue
        head = _head(listing.root / path)
        name = next((one for one, words in WORDS.items() if all(word in head for word in words)), None)
        if name is None or name in seen:
            continue
        seen.add(name)
        reason = f"{path} has the words of its JSON, but cannot be read"
        if name == "coco":
            images = image_folder(listing, path, "all") or "."
            yield Guess("coco", {"annotations": path, "images": images, "splits": ["all"]}, (reason,))
        else:
            yield Guess(name, {} if name == "labelme" else {"file": path}, (reason,))


def _head(file: Path) -> bytes:
    """Return the beginning of a file, UTF-16 as bytes of its letters."""
    try:
        head = head_of(file, HEAD)
    except OSError:
        return b""
    return head.replace(b"\0", b"") if head[:2] in (b"\xff\xfe", b"\xfe\xff") else head


def describe_others(listing: Listing) -> list[str]:
    """Return a sentence for each thing in a folder that is known, but no data set that can be read."""
    told = []
    packed = [path for path in listing.paths if path.lower().endswith(PACKED) and not path.endswith(".nii.gz")]
    if packed:
        told.append(f"{packed[0]} is packed; unpack it first.")
    for path in [path for path in listing.paths if path.lower().endswith(".json")][:MOST_JSON]:
        said = _of_document(document_of(listing.root / path))
        if said:
            told.append(f"{path} {said}")
            break
    boxes = next((path for path in listing.paths if re.search(r"(^|/)labels/.*\.txt$", path)), None)
    if boxes is not None:
        rows = [line.split() for line in _head(listing.root / boxes).splitlines() if line.strip()]
        if rows and all(len(row) == 5 and row[0].isdigit() for row in rows[:20]):
            told.append(f"{boxes} has five numbers a line, as YOLO's boxes for detection; outlines are wanted here.")
    return told


def _of_document(document: object) -> str:
    if isinstance(document, list) and document and isinstance(document[0], dict):
        first = document[0]
        if {"image_id", "category_id"} <= first.keys():
            return (
                "holds results of a detector in COCO's form, and no annotations; to score them: bench score "
                "--predictions FILE --dataset the data set that they are of."
            )
        if {"images", "annotations"} <= first.keys():
            return "is a list with a document of COCO's in it; write the document itself, without the list around it."
    if isinstance(document, dict):
        rows = document.get("_via_img_metadata", document)
        values = [row for row in (rows.values() if isinstance(rows, dict) else ()) if isinstance(row, dict)]
        if values and all("regions" in row and "filename" in row for row in values[:8]):
            return "is of VGG's Image Annotator (VIA); export the project from it in COCO's format."
    return ""
