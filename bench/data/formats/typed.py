"""Documents of others, held against types before anything of them is used: what is wrong is told by its place."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError, with_config
from typing_extensions import Required, TypedDict

from bench.errors import DatasetError

T = TypeVar("T")

LARGEST_SIDE = 2**20
"""No image of a data set is wider or higher, in pixels."""

Pixels = Annotated[int, Field(ge=1, le=LARGEST_SIDE)]
"""Height or width of an image."""
Number = Annotated[FiniteFloat, Field(strict=True, ge=-1e15, le=1e15)]
"""A coordinate, or anything else that is measured; not text, true or false."""
Name = str | int | float | bool | None
"""This is what is written as a name; other tools write numbers there."""


@with_config(ConfigDict(extra="allow", coerce_numbers_to_str=False))
class Lenient(TypedDict):
    """An object of others: keys that a type made of it does not name stay as they are."""


def as_typed(adapter: TypeAdapter[T], value: object, where: str, advice: str) -> T:
    """Return a document as a type; raises `DatasetError` with the first value of another one, and the number of all.

    Args:
        adapter: Adapter of the type; keys that it does not name stay as they are.
        where: File, and the part of it, for the message.
        advice: Advice to the user, a sentence.
    """
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        at = ".".join(str(part) for part in faults[0]["loc"]) or "all of it"
        more = f" ({len(faults)} values are wrong)" if len(faults) > 1 else ""
        said = " ".join(faults[0]["msg"].split())
        raise DatasetError(f"{where}: {at}: {said}{more}. {advice}", kind="labels") from None
    except RecursionError:
        raise DatasetError(f"{where}: it is nested too deeply. {advice}", kind="labels") from None


class LabelMeShape(Lenient, total=False):
    """A shape of LabelMe's."""

    label: Name
    points: list[tuple[Number, Number]]
    shape_type: str | None
    group_id: Name
    mask: str | None


class LabelMeDocument(Lenient, total=False):
    """A JSON file of LabelMe's."""

    shapes: list[LabelMeShape]
    imagePath: str | None
    imageHeight: Pixels | None
    imageWidth: Pixels | None


class _Tag(Lenient, total=False):
    name: Name


class SuperviselyObject(Lenient, total=False):
    """An object of Supervisely's; its geometry is looked at by its kind."""

    classTitle: Name
    instance: Name
    tags: list[_Tag] | None
    geometryType: str | None


class _Sides(Lenient):
    height: Pixels
    width: Pixels


class SuperviselyDocument(Lenient):
    """An annotation of Supervisely's."""

    size: _Sides
    objects: list[SuperviselyObject]


class _Segment(Lenient, total=False):
    id: Annotated[int, Field(ge=0, lt=2**24)]
    category_id: int
    isthing: bool | int
    iscrowd: bool | int


class _Annotation(Lenient, total=False):
    category_id: int
    iscrowd: bool | int
    segmentation: Any


class DatasetDict(Lenient, total=False):
    """A dataset dict of Detectron2's."""

    file_name: str
    height: Pixels | None
    width: Pixels | None
    annotations: list[_Annotation] | None
    segments_info: list[_Segment] | None


Byte = Annotated[int, Field(strict=True, ge=0, le=255)]


class DetectronMetadata(Lenient, total=False):
    """Metadata of a data set of Detectron2's; its lists of names are held against each other when they are read."""

    thing_dataset_id_to_contiguous_id: dict[str | int, Annotated[int, Field(strict=True, ge=0)]] | None
    ignore_label: Annotated[int, Field(strict=True, ge=0, le=65535)]
    thing_colors: list[tuple[Byte, Byte, Byte]] | None
    stuff_colors: list[tuple[Byte, Byte, Byte]] | None


class LabelStudioResult(Lenient, total=False):
    """A result of Label Studio's; its value is looked at by its kind."""

    id: Name
    original_height: Pixels | None
    original_width: Pixels | None
    image_rotation: Number | None


Written = Annotated[FiniteFloat, Field(ge=-1e15, le=1e15)]
"""A number as XML has it, in letters."""


class CvatImage(Lenient, total=False):
    """Attributes of an image of CVAT's."""

    name: Required[Annotated[str, Field(min_length=1)]]
    width: Required[Pixels]
    height: Required[Pixels]
    subset: str


class CvatShape(Lenient, total=False):
    """Attributes of a shape of CVAT's; points and run lengths are looked at by its kind."""

    label: Required[Annotated[str, Field(min_length=1)]]
    group_id: str
    z_order: int
    points: str
    rle: str
    left: Written
    top: Written
    width: Written
    height: Written


class YoloDocument(Lenient, total=False):
    """A data YAML of Ultralytics'; its names, splits and values are held against each other when they are read."""

    path: str | None
    masks_dir: str | None


class _SavedFile(Lenient):
    filename: Annotated[str, Field(min_length=1)]


class SavedSplits(Lenient, total=False):
    """dataset_dict.json of Hugging Face's."""

    splits: list[Annotated[str, Field(min_length=1)]]


class SavedState(Lenient, total=False):
    """state.json of Hugging Face's."""

    _data_files: list[_SavedFile]


class SavedInfo(Lenient, total=False):
    """dataset_info.json of Hugging Face's; features are looked at by their kind."""

    features: dict[str, Any] | None


class ParquetInfo(Lenient, total=False):
    """Hold what Hugging Face writes into the schema of a parquet file."""

    info: SavedInfo


LABELME = TypeAdapter(LabelMeDocument)
SUPERVISELY = TypeAdapter(SuperviselyDocument)
DETECTRON2 = TypeAdapter(DatasetDict)
DETECTRON2_METADATA = TypeAdapter(DetectronMetadata)
LABEL_STUDIO = TypeAdapter(list[LabelStudioResult])
CVAT_IMAGE = TypeAdapter(CvatImage)
CVAT_SHAPE = TypeAdapter(CvatShape)
YOLO = TypeAdapter(YoloDocument)
SAVED_SPLITS = TypeAdapter(SavedSplits)
SAVED_STATE = TypeAdapter(SavedState)
SAVED_INFO = TypeAdapter(SavedInfo)
PARQUET_INFO = TypeAdapter(ParquetInfo)
ID2LABEL = TypeAdapter(dict[int, Name])
"""Value in masks -> name of its class, as Hugging Face's id2label.json."""
VALUES = TypeAdapter(dict[str, int])
"""Name of a class -> its value in masks."""
NNUNET = TypeAdapter(dict[str, Annotated[int, Field(ge=0, le=65535)] | list[Annotated[int, Field(ge=0, le=65535)]]])
"""Name of a label of nnU-Net's -> its value, or the values of a region."""
