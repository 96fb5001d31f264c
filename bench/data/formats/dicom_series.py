"""DICOM series: a folder with one file for each slice, or one file of several frames.

Slices are put in the order of their position along the normal of their plane, which neither names nor
instance numbers tell. Values are rescaled by the header (Hounsfield units for CT). Coordinates are turned from
DICOM's LPS into RAS. Source: DICOM PS3.3, C.7.6.2 (image plane) and C.11.1 (modality LUT).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.formats.dicom_labels import RAS, begins_as_dicom, document_of, label_kind
from bench.data.formats.volume_arrays import Volume, affine_spacing, reading, stand_in
from bench.errors import DatasetError, in_one_line

UNEVEN = 0.02
"""Share of the usual distance by which distances of slices may differ."""
NO_IMAGES = {
    "SEG": "a segmentation object",
    "RTSTRUCT": "a structure set of contours",
    "RTDOSE": "a dose",
    "SR": "a report",
}


@lru_cache(maxsize=1 << 20)
def is_dicom(path: Path) -> bool:
    """Return whether a file's content begins as DICOM's does."""
    try:
        with path.open("rb") as file:
            return begins_as_dicom(file.read(132))
    except OSError:
        return False


def files_of(volume: Path) -> list[Path]:
    """Return the files of a volume: itself, or the DICOM files of images in its folder, by name; labels are none."""
    if not volume.is_dir():
        return [volume]
    found = [path for path in sorted(volume.iterdir()) if path.is_file() and path.name[0] != "." and is_dicom(path)]
    return [path for path in found if not label_kind(path)]


def read_series(path: Path, *, pixels: bool) -> Volume:
    """Read the series of a folder, or the frames of one file; without `pixels` the headers alone.

    Raises:
        DatasetError: If there are several series, no pixels, colours, or slices in one place or in several planes.
    """
    files = files_of(path)
    slices = [document_of(file, path, pixels=pixels) for file in files]
    _require_one_series(slices, files, path, pixels=pixels)
    if len(slices) == 1 and int(slices[0].get("NumberOfFrames", 1) or 1) > 1:
        return _of_frames(slices[0], path, pixels=pixels)
    normal, positions = _positions(slices, path)
    order = np.argsort(positions, kind="stable")
    ordered = [slices[index] for index in order]
    if pixels:
        values = np.stack([_values(one, path) for one in ordered], axis=-1)
    else:
        values = stand_in((int(slices[0].Columns), int(slices[0].Rows), len(slices)), np.float32)
    return _volume(values, ordered[0], normal, positions[order])


def patient_of(path: Path) -> str:
    """Return PatientID of a series; empty where it has none."""
    with reading(path, "DICOM"):
        return str(document_of(files_of(path)[0], path, pixels=False).get("PatientID", "") or "").strip()


def frames_of(file: Path) -> int:
    """Return the number of frames of a DICOM file; 1 where it cannot be read, which reading it tells."""
    try:
        import pydicom

        head = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["NumberOfFrames"])
        return int(head.get("NumberOfFrames", 1) or 1)
    except Exception:  # whatever a damaged file makes pydicom raise, or its absence
        return 1


def _require_one_series(slices: Sequence[Any], files: Sequence[Path], path: Path, *, pixels: bool) -> None:
    modality = str(slices[0].get("Modality", "")) if slices else ""
    if modality in NO_IMAGES:
        raise DatasetError(
            f"{path} is {NO_IMAGES[modality]} ({modality}), no image. A segmentation object and a structure set are "
            "masks: name them by the pattern masks, and the series that they belong to by images."
        )
    series = Counter(str(one.get("SeriesInstanceUID", "")) for one in slices)
    if len(series) > 1:
        named = {str(one.get("SeriesInstanceUID", "")): str(one.get("SeriesDescription", "?")) for one in slices}
        told = ", ".join(f"{count} of {named[uid]!r}" for uid, count in series.most_common(4))
        raise DatasetError(f"{path} holds {len(series)} series: {told}. One folder holds one; put each into its own.")
    for one, file in zip(slices, files, strict=True):
        if "Rows" not in one or (pixels and "PixelData" not in one):
            raise DatasetError(f"{file} has no pixels. Move it out of the folder of the series.")
        if int(one.get("SamplesPerPixel", 1)) != 1:
            raise DatasetError(f"{file} holds colours; a series of grey values is expected.")
    sizes = Counter((int(one.Rows), int(one.Columns)) for one in slices)
    if len(sizes) > 1:
        told = ", ".join(f"{count} of {rows} × {columns}" for (rows, columns), count in sizes.most_common(4))
        raise DatasetError(
            f"{path}: its slices differ in size: {told} (rows × columns). Put each series in its folder."
        )


def _positions(slices: Sequence[Any], path: Path) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Normal of the slices' plane, in LPS, and the position of each along it."""
    planes = {tuple(np.round(np.asarray(one.get("ImageOrientationPatient") or [], float), 3)) for one in slices}
    if planes == {()} or any("ImagePositionPatient" not in one for one in slices):
        numbers = [one.get("InstanceNumber") for one in slices]
        if None in numbers or len(set(numbers)) < len(numbers):
            raise DatasetError(
                f"{path}: its slices have neither positions nor numbers, so that their order is unknown."
            )
        return None, np.array([float(number) for number in numbers])
    if len(planes) > 1:
        raise DatasetError(f"{path}: its slices lie in {len(planes)} planes. Put each of these series into its folder.")
    row, column = np.split(np.asarray(slices[0].ImageOrientationPatient, float), 2)
    normal = np.cross(row, column)
    positions = np.array([float(np.dot(normal, np.asarray(one.ImagePositionPatient, float))) for one in slices])
    ordered = np.sort(positions)
    if len(ordered) > 1 and np.diff(ordered).min() < 1e-3:
        raise DatasetError(
            f"{path}: several slices lie in one place, as in a series over time or of several echoes. Put each of "
            "these volumes into its folder."
        )
    return normal, positions


def _values(one: Any, path: Path) -> NDArray[Any]:
    """Rescaled values of a slice, (column, row)."""
    try:
        stored = one.pixel_array
    except Exception as error:  # of its decoders
        raise DatasetError(
            f"{path}: its pixels cannot be decoded: {in_one_line(error)}. Compressed ones need a decoder: "
            "pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg",
            kind="image",
        ) from None
    if one.get("ModalityLUTSequence"):
        raise DatasetError(
            f"{path}: its values are turned into others by a table (Modality LUT Sequence), which is not applied here. "
            "Write the series with values as they are, for example as NIfTI.",
            kind="image",
        )
    slope, intercept = float(one.get("RescaleSlope", 1) or 1), float(one.get("RescaleIntercept", 0) or 0)
    if (slope, intercept) == (1.0, 0.0):
        return np.asarray(stored.T)
    return np.asarray(stored.T, dtype=np.float32) * np.float32(slope) + np.float32(intercept)


def _volume(
    values: NDArray[Any], first: Any, normal: NDArray[np.float64] | None, positions: NDArray[np.float64]
) -> Volume:
    """Return the volume of slices in order, (column, row, slice)."""
    window, inverted = _window(first), str(first.get("PhotometricInterpretation", "")) == "MONOCHROME1"
    in_plane = first.get("PixelSpacing")
    if normal is None or in_plane is None:
        return Volume(values, None, None, note="its headers do not state its place", window=window, inverted=inverted)
    steps = np.diff(positions)
    step = float(np.median(steps)) if len(steps) else float(first.get("SliceThickness", 0) or 0) or 1.0
    note = ""
    if len(steps) and float(np.abs(steps - step).max()) > UNEVEN * step:
        note = f"its slices are {steps.min():.4g} to {steps.max():.4g} mm apart; some are probably missing"
    row, column = np.split(np.asarray(first.ImageOrientationPatient, float), 2)
    lps = np.eye(4)
    # PixelSpacing is the distance of rows, then of columns.
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = row * float(in_plane[1]), column * float(in_plane[0]), normal * step
    lps[:3, 3] = np.asarray(first.ImagePositionPatient, float)
    affine = RAS @ lps
    return Volume(values, affine, affine_spacing(affine), note=note, window=window, inverted=inverted)


def _window(one: Any) -> tuple[float, float] | None:
    """Return the first window that the header proposes."""
    center, width = one.get("WindowCenter"), one.get("WindowWidth")
    if center is None or width is None:
        return None
    middle, extent = (float(value[0] if hasattr(value, "__len__") else value) for value in (center, width))
    return middle - extent / 2, middle + extent / 2


def _frame_values(one: Any, path: Path) -> NDArray[Any]:
    """Values of all frames, (column, row, frame), each rescaled by its own row, else that of all, else the file's."""
    with reading(path, "DICOM"):
        stored = np.moveaxis(one.pixel_array, 0, -1).swapaxes(0, 1)
    key, count = "PixelValueTransformationSequence", stored.shape[-1]
    shared = (one.get("SharedFunctionalGroupsSequence") or [{}])[0]
    frames = one.get("PerFrameFunctionalGroupsSequence") or []
    rows = [(own.get(key) or shared.get(key) or [one])[0] for own in (*frames, *[{}] * (count - len(frames)))][:count]
    slopes = np.array([float(row.get("RescaleSlope", 1) or 1) for row in rows], dtype=np.float32)
    intercepts = np.array([float(row.get("RescaleIntercept", 0) or 0) for row in rows], dtype=np.float32)
    if (slopes == 1).all() and (intercepts == 0).all():
        return np.asarray(stored)
    return np.asarray(stored, dtype=np.float32) * slopes + intercepts


def _of_frames(one: Any, path: Path, *, pixels: bool) -> Volume:
    """Return the frames of one file as slices, in the order of the file; enhanced files say where each lies."""
    values = _frame_values(one, path) if pixels else stand_in((one.Columns, one.Rows, one.NumberOfFrames), np.float32)
    shared = (one.get("SharedFunctionalGroupsSequence") or [None])[0]
    frames = one.get("PerFrameFunctionalGroupsSequence")
    try:
        plane = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in frames]
    except (AttributeError, TypeError, IndexError):
        note = "it is one file of frames that does not say how they lie"
        return Volume(values, None, None, note=note, window=_window(one))
    row, column = np.split(np.asarray(plane, float), 2)
    normal = np.cross(row, column)
    positions = np.array([float(np.dot(normal, np.asarray(place, float))) for place in places])
    order = np.argsort(positions, kind="stable")
    if len(order) > 1 and np.diff(positions[order]).min() < 1e-3:
        raise DatasetError(f"{path}: several frames lie in one place; it is no single volume.")
    one.ImageOrientationPatient, one.PixelSpacing = plane, spacing
    one.ImagePositionPatient = places[int(order[0])]
    return _volume(values[..., order], one, normal, positions[order])
