"""Tables of Hugging Face `datasets` on disk: parquet files, and folders that `save_to_disk` has written.

What a column is stands in the features: in parquet as JSON under the key `huggingface` of the schema, in a saved
folder in dataset_info.json. Images are structures of `bytes` and `path`. Nothing is fetched and no code is run.
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.formats.documents import read_json
from bench.data.formats.file_names import is_hidden
from bench.data.formats.typed import PARQUET_INFO, SAVED_INFO, SAVED_SPLITS, SAVED_STATE, as_typed
from bench.errors import DatasetError, in_one_line
from bench.records.store.files import file_state

FIX = 'pip install -c constraints.txt ".[huggingface]"'
SPLIT_WORDS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing")
SHARD = re.compile(r"^(.*?)-\d{5}-of-\d{5}$")
AGAIN = "Save it again with save_to_disk."
CACHE_MIB = 256
"""Memory for parts of parquet files that a process keeps."""


@dataclass(frozen=True)
class Table:
    """A file with rows.

    Attributes:
        file: Parquet, or an Arrow stream.
        parts: Rows of each part that is read at once.
    """

    file: Path
    split: str
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Tables:
    """The tables of a folder.

    Attributes:
        tables: Tables in the order of splits and shards.
        features: Column -> its feature, as `datasets` writes them.
    """

    tables: tuple[Table, ...]
    features: Mapping[str, Any]


def find_tables(root: Path) -> Tables:
    """Look at the headers of a folder's tables; raises `DatasetError` for none, or features that are not the same."""
    found = list(_saved(root)) or list(_parquet(root))
    if not found:
        raise DatasetError(
            f"huggingface: {root.absolute()} holds neither .parquet files nor a folder that save_to_disk has written. "
            "Download the files of the data set, or write them with dataset.save_to_disk(FOLDER)."
        )
    first, features = found[0]
    other = next((table for table, own in found if own != features), None)
    if other is not None:
        raise DatasetError(f"huggingface: {other.file} has other columns than {first.file}. Move one of them away.")
    if not features:
        raise DatasetError(
            f"{first.file} does not say what its columns are: it was not written by Hugging Face datasets. Write it "
            "with Dataset.to_parquet, whose features then hold images as Image()."
        )
    return Tables(tuple(table for table, _ in found), features)


def pyarrow_parquet() -> Any:
    """Return the module pyarrow.parquet; raises `DatasetError` with the way to install it."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise DatasetError(f"huggingface: needs the package pyarrow. Install it with: {FIX}") from None
    return pyarrow.parquet


def _parquet(root: Path) -> Iterator[tuple[Table, Any]]:
    files = sorted(path for path in root.rglob("*.parquet") if not any(map(is_hidden, path.relative_to(root).parts)))
    for file in files:
        try:
            with pyarrow_parquet().ParquetFile(file) as opened:
                meta, schema = opened.metadata, opened.schema_arrow.metadata or {}
                rows = tuple(meta.row_group(n).num_rows for n in range(meta.num_row_groups))
            document = json.loads(schema.get(b"huggingface", b"{}"))
        except (OSError, ValueError, RecursionError) as error:
            raise _unreadable(file, error) from None
        typed = as_typed(PARQUET_INFO, document, f"{file}: huggingface", "Download or write it again.")
        yield Table(file, _split_of(file.relative_to(root)), rows), typed.get("info", {}).get("features") or {}


def _split_of(relative: Path) -> str:
    """Return the split in a path: in the name of the file, `train-00000-of-00001`, else of a folder; `all` without."""
    stem = relative.stem
    shard = SHARD.match(stem)
    words = [shard.group(1) if shard else stem, *reversed(relative.parts[:-1])]
    return next((word for word in words if word.lower() in SPLIT_WORDS), shard.group(1) if shard else "all")


def _saved(root: Path) -> Iterator[tuple[Table, Any]]:
    listed = root / "dataset_dict.json"
    folders = {"all": root} if (root / "state.json").is_file() else {}
    if listed.is_file():
        names = as_typed(SAVED_SPLITS, read_json(listed), str(listed), AGAIN).get("splits", [])
        folders = {name: root / name for name in names}
    for name, folder in folders.items():
        if not (folder / "state.json").is_file():
            raise DatasetError(f"{listed} names the split {name!r}, but {folder} holds no state.json. Save it again.")
        pyarrow_parquet()
        import pyarrow.ipc

        info, state = folder / "dataset_info.json", folder / "state.json"
        features = as_typed(SAVED_INFO, read_json(info), str(info), AGAIN).get("features") or {}
        for row in as_typed(SAVED_STATE, read_json(state), str(state), AGAIN).get("_data_files", []):
            file = folder / row["filename"]
            try:
                with pyarrow.memory_map(str(file)) as source:
                    parts = tuple(batch.num_rows for batch in pyarrow.ipc.open_stream(source))
            except (OSError, ValueError) as error:
                raise _unreadable(file, error) from None
            yield Table(file, name, parts), features


def _unreadable(file: Path, error: Exception) -> DatasetError:
    return DatasetError(f"{file} cannot be read: {in_one_line(error)}. Download or save it again.")


_parts: OrderedDict[tuple[Path, tuple[int, ...] | None, int, tuple[str, ...]], Any] = OrderedDict()


def read_row(file: Path, part: int, row: int, columns: tuple[str, ...]) -> dict[str, Any]:
    """Read some columns of a row; raises `DatasetError` if the file cannot be read.

    Args:
        file: Parquet, or an Arrow stream.
        part: Row group, or record batch.
        row: Index of the row within that part.
    """
    try:
        key = file, file_state(file), part, columns
        if key not in _parts:
            _parts[key] = _read_part(file, part, columns)
            while len(_parts) > 1 and sum(table.nbytes for table in _parts.values()) > CACHE_MIB << 20:
                _parts.popitem(last=False)
        _parts.move_to_end(key)
        found: dict[str, Any] = _parts[key].slice(row, 1).to_pylist()[0]
    except (OSError, ValueError, IndexError) as error:
        raise _unreadable(file, error) from None
    return found


def _read_part(file: Path, part: int, columns: tuple[str, ...]) -> Any:
    parquet = pyarrow_parquet()
    if file.suffix == ".parquet":
        with parquet.ParquetFile(file) as opened:
            return opened.read_row_group(part, columns=list(columns))
    import pyarrow
    import pyarrow.ipc

    # Mapped and not read: a part of it is as good as free.
    source = pyarrow.memory_map(os.fspath(file))
    for number, batch in enumerate(pyarrow.ipc.open_stream(source)):
        if number == part:
            return pyarrow.Table.from_batches([batch]).select(list(columns))
    raise IndexError(f"it has no part {part}")


def item_of(feature: Any) -> Any:
    """Return feature of the items of a list, None where it is none; both spellings that `datasets` has had."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    if isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        return feature.get("feature")
    return None


def kind_of(feature: Any) -> str:
    """Return the name of the type of a feature, for example `Image`; `struct` of one with fields, `list` of a list."""
    if item_of(feature) is not None:
        return "list"
    kind = feature.get("_type") if isinstance(feature, dict) else ""
    return kind if isinstance(kind, str) else "struct"


def class_names(feature: Any) -> tuple[str, ...]:
    """Return names of the first `ClassLabel` in a feature, at any depth; none without one."""
    if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        return tuple(map(str, feature["names"]))
    inner = feature.values() if isinstance(feature, dict) else feature if isinstance(feature, list) else ()
    return next((names for one in inner if (names := class_names(one))), ())
