"""Labels that DICOM keeps beside a series, on the grid of that series: segmentation objects and structure sets.

    SEG         a frame for each segment and slice; segments are told by their SegmentLabel
    RTSTRUCT    closed planar contours in millimetres for each region of interest, told by its ROIName

Segment and ROI numbers differ from patient to patient, so that classes are found by name. Where two of the named
regions overlap, the later one of the classes lies on top. Contours are filled slice by slice: a voxel belongs to a
region if its centre lies in an odd number of its contours. Fractional segments are refused unless they hold all or
nothing: where to cut others is not said. Regions that are no class are left out, which the data set counts.

Source: DICOM PS3.3, A.51 (segmentation) and A.19.3 (RT structure set). The empty parts of a series have no frames.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.polygons import polygon_masks
from bench.data.formats.volume_arrays import Volume, package, reading
from bench.errors import DatasetError, few
from bench.records import Size

HEAD = 2048
KINDS = {
    b"1.2.840.10008.5.1.4.1.1.66.4": "SEG",
    b"1.2.840.10008.5.1.4.1.1.66.7": "SEG",
    b"1.2.840.10008.5.1.4.1.1.481.3": "RTSTRUCT",
}
"""Class of a DICOM object, as the head of its file names it -> what it is called."""
MAGIC_AT, MAGIC = 128, b"DICM"
OFF = 0.1
"""Share of a voxel by which labels may lie beside the grid of their series."""
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def begins_as_dicom(head: bytes) -> bool:
    """Return whether a file of this head, 132 bytes or more, is DICOM."""
    return head[MAGIC_AT : MAGIC_AT + len(MAGIC)] == MAGIC


@lru_cache(maxsize=1 << 20)
def label_kind(path: Path) -> str:
    """`SEG` or `RTSTRUCT` for a file that is one; empty for others."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return ""
    if not begins_as_dicom(head):
        return ""
    # As a whole: neither further digits nor components follow.
    return next((kind for uid, kind in KINDS.items() if re.search(re.escape(uid) + rb"(?![0-9.])", head)), "")


def region_names(path: Path) -> tuple[str, ...]:
    """Return names of the segments or regions of interest of a file."""
    return tuple(dict.fromkeys(_names(document_of(path, path, pixels=False), path).values()))


def left_out(paths: Sequence[Path], value_of: Mapping[str, int]) -> str:
    """Return what of the regions of some files is no class, in a sentence; empty where all are one."""
    others = Counter(name for path in paths for name in region_names(path) if _known(name, value_of) is None)
    if not others:
        return ""
    shown = few((f"{name} in {count}" for name, count in others.most_common()), 12)
    return f"regions that are no class are left out, of {len(paths)} files: {shown}"


def read_labels(path: Path, image: Volume, value_of: Mapping[str, int]) -> Volume:
    """Read labels on the grid of their series; raises `DatasetError` if none is there, or they do not lie on it.

    Args:
        path: SEG or RTSTRUCT.
        image: The series as it is stored, not yet turned; its values are not used.
        value_of: Name of a region -> value in the volume, those on top last.
    """
    document = document_of(path, path, pixels=True)
    names = _names(document, path)
    known = {number: one for number, name in names.items() if (one := _known(name, value_of)) is not None}
    if not known:
        raise DatasetError(
            f"{path} has none of the classes {', '.join(value_of)}; its regions are "
            f"{', '.join(names.values()) or 'none'}. Name them as classes, in the spelling of the files.",
            kind="labels",
        )
    if image.affine is None:
        raise DatasetError(f"{path}: the series that it belongs to does not say how it lies. {_FETCH}", kind="size")
    values = np.zeros(image.values.shape[:3], dtype=np.uint16)
    order = list(value_of)
    by_rank = sorted(known, key=lambda number: order.index(known[number]))
    regions = _segments if label_kind(path) == "SEG" else _contours
    masks = dict(regions(document, by_rank, image, path))
    for number in (one for one in by_rank if one in masks):
        values[masks[number]] = value_of[known[number]]
    return Volume(values, image.affine, image.spacing)


_FETCH = "Fetch the series from its source again."


def _known(name: str, value_of: Mapping[str, int]) -> str | None:
    """Return the class that a region is: of its name, whatever the case and the spaces around it."""
    plain = name.strip().casefold()
    return next((one for one in value_of if one.strip().casefold() == plain), None)


def document_of(file: Path, path: Path, *, pixels: bool) -> Any:
    """Read a DICOM file of a series at `path`; raises `DatasetError` naming the series if it cannot be read."""
    pydicom = package("pydicom", path)
    with reading(path, "DICOM"):
        return pydicom.dcmread(file, stop_before_pixels=not pixels)


def _names(document: Any, path: Path) -> dict[int, str]:
    """Return number of each segment or region -> its name."""
    with reading(path, "DICOM"):
        if "SegmentSequence" in document:
            return {int(one.SegmentNumber): str(one.SegmentLabel) for one in document.SegmentSequence}
        return {int(one.ROINumber): str(one.ROIName) for one in document.StructureSetROISequence}


def _segments(
    document: Any, numbers: Sequence[int], image: Volume, path: Path
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield number of each segment and its mask, bool, (x, y, z)."""
    form = str(document.get("SegmentationType", "BINARY"))
    with reading(path, "DICOM"):
        pixels = np.atleast_3d(document.pixel_array) if document.NumberOfFrames != 1 else document.pixel_array[None]
        frames = document.PerFrameFunctionalGroupsSequence
        places = [_place(frame, document, image, path) for frame in frames]
        named = [frame.get("SegmentIdentificationSequence") for frame in frames]  # None of a label map, of several
        owners = [int(one[0].ReferencedSegmentNumber) if one is not None else None for one in named]
    most = int(document.get("MaximumFractionalValue") or 255)
    if form == "FRACTIONAL" and not np.isin(pixels, (0, most)).all():
        raise DatasetError(
            f"{path} holds fractions (SegmentationType FRACTIONAL), and where to cut them is not said. Write it as "
            "BINARY.",
            kind="mask",
        )
    for number in numbers:
        mask = np.zeros(image.values.shape[:3], dtype=np.bool_)
        for frame, place, owner in zip(pixels, places, owners, strict=True):
            if owner in (None, number):
                mask[:, :, place] |= (frame == number if form == "LABELMAP" else frame > 0).T
        yield number, mask


def _place(frame: Any, document: Any, image: Volume, path: Path) -> int:
    """Return the number of the slice of a series on which a frame lies; raises `DatasetError` if it lies beside it."""
    shared = document.SharedFunctionalGroupsSequence[0]
    plane = (frame if "PlaneOrientationSequence" in frame else shared).PlaneOrientationSequence[0]
    measures = (frame if "PixelMeasuresSequence" in frame else shared).PixelMeasuresSequence[0]
    row, column = np.split(np.asarray(plane.ImageOrientationPatient, float), 2)
    lps = np.zeros((4, 3))
    lps[:3, 0] = row * float(measures.PixelSpacing[1])
    lps[:3, 1] = column * float(measures.PixelSpacing[0])
    lps[:3, 2] = np.asarray(frame.PlanePositionSequence[0].ImagePositionPatient, float)
    lps[3, 2] = 1
    assert image.affine is not None
    across, down, origin = (np.linalg.inv(image.affine) @ RAS @ lps)[:3].T
    width, height, depth = image.values.shape[:3]
    number = round(float(origin[2]))
    fits = (int(document.Columns), int(document.Rows)) == (width, height) and 0 <= number < depth
    far = np.abs(origin - [0, 0, number]).max() <= OFF
    steps = max(np.abs(across - [1, 0, 0]).max() * width, np.abs(down - [0, 1, 0]).max() * height) <= OFF
    if not (fits and far and steps):
        raise DatasetError(
            f"{path}: a frame of {document.Columns} × {document.Rows} lies at voxel ({origin[0]:.2f}, {origin[1]:.2f}, "
            f"{origin[2]:.2f}) of a series of {width} × {height} × {depth} (columns × rows × slices): it belongs to "
            "another series, or was resampled. Give it the series that it was drawn on.",
            kind="size",
        )
    return number


def _contours(
    document: Any, numbers: Sequence[int], image: Volume, path: Path
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield number of each region and its mask, bool, (x, y, z)."""
    assert image.affine is not None
    to_voxels = np.linalg.inv(image.affine) @ RAS
    for region in document.get("ROIContourSequence") or []:
        if int(region.ReferencedROINumber) not in numbers:
            continue
        mask = np.zeros(image.values.shape[:3], dtype=np.bool_)
        for contour in region.get("ContourSequence") or []:
            kind = str(contour.get("ContourGeometricType", "CLOSED_PLANAR"))
            if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
                continue  # points and open lines have no area
            points = np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            if len(points) >= 3:
                _fill(mask, (to_voxels @ np.c_[points, np.ones(len(points))].T)[:3].T, path)
        yield int(region.ReferencedROINumber), mask


def _fill(mask: NDArray[np.bool_], voxels: NDArray[np.float64], path: Path) -> None:
    """Turn the voxels within a contour, (P, 3), whose centres have whole coordinates, inside out."""
    axis = int(np.argmin(np.ptp(voxels, axis=0)))
    place = round(float(voxels[:, axis].mean()))
    if np.abs(voxels[:, axis] - place).max() > 0.5 or not 0 <= place < mask.shape[axis]:
        raise DatasetError(
            f"{path}: a contour lies on no slice of its series, at {voxels[:, axis].min():.2f} to "
            f"{voxels[:, axis].max():.2f} along axis {axis} of {mask.shape[axis]} voxels. Give it the series that it "
            "was drawn on.",
            kind="size",
        )
    plane = np.moveaxis(mask, axis, 0)[place]
    corners = np.delete(voxels, axis, axis=1)[:, ::-1] + 0.5  # x is the second axis of the plane
    plane ^= polygon_masks([[corners]], Size(*plane.shape))[0]
