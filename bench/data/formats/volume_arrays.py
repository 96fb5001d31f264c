"""Volumes of voxels as one form, whatever their file: values, spacing in millimetres, and how they lie in the patient.

    .nii .nii.gz      NIfTI, read by nibabel; its axes point towards right, anterior, superior (RAS)
    .nrrd .nhdr       NRRD, read by pynrrd; `space` says where its axes point
    .mha .mhd         MetaImage, read by SimpleITK; its axes point towards left, posterior, superior (LPS)
    .tif .tiff        a stack of pages, read by tifffile; spacing of OME-XML or ImageJ, no orientation
    .npy              (slice, row, column), or (slice, row, column, channel); neither spacing nor orientation
    .dcm, folders     DICOM, see `dicom_series`

A volume that says how it lies is turned by whole axes, without resampling, until its axes point to the
patient's left, back (posterior) and head (superior): LPS, as DICOM counts. An oblique one is turned to the nearest
such axes. One that says nothing stays as stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import DatasetError, in_one_line
from bench.records.array_files import mapped_array

FIX = 'pip install -c constraints.txt ".[medical]"'
LPS = ("L", "P", "S")
MILLIMETRES = {"mm": 1.0, "millimeter": 1.0, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3, "nm": 1e-6}
MILLIMETRES |= {"m": 1e3, "cm": 10.0, "inch": 25.4, "\\u00b5m": 1e-3}
NRRD_SPACES = {
    "right-anterior-superior": (1, 1, 1), "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1), "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1), "lps": (-1, -1, 1),
}  # fmt: skip
"""Name of a space -> signs that turn its coordinates into RAS."""


NRRD_BYTES = ("uchar", "unsigned char", "uint8", "uint8_t")


@dataclass(frozen=True)
class Volume:
    """Voxels with their geometry.

    Attributes:
        values: Values of the voxels, (x, y, z), or (x, y, z, channel) where a voxel has several; x runs along rows, y
            down the columns of a stored slice, z from slice to slice.
        affine: Transform of voxel indices to millimetres in RAS, (4, 4); None where the file says nothing of
            orientation.
        spacing: Spacing of x, y and z in millimetres; None where it is not known.
        stored: Orientation of the volume in its file, for example `RAS`; empty without an affine.
        note: Sentence on what is odd about it; empty if nothing is.
        window: Lower and upper value that its file proposes to show; None without.
        inverted: True if low values are bright.
    """

    values: NDArray[Any]
    affine: NDArray[np.float64] | None
    spacing: tuple[float, float, float] | None
    stored: str = ""
    note: str = ""
    window: tuple[float, float] | None = None
    inverted: bool = False


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, `.nii.gz` as one.

    >>> suffix_of("a.b.NII.GZ"), suffix_of("a.v2.nrrd"), suffix_of("IM0001")
    ('.nii.gz', '.nrrd', '')
    """
    lower = name.lower()
    return ".nii.gz" if lower.endswith(".nii.gz") else Path(lower).suffix


def package(name: str, path: Path, install: str = FIX) -> Any:
    """Import what reads a file; raises `DatasetError` with the way to install it."""
    try:
        return import_module(name)
    except ImportError:
        called = {"nrrd": "pynrrd"}.get(name, name.partition(".")[0])
        raise DatasetError(f"{path} needs the package {called} to be read. Install it with: {install}") from None


@contextmanager
def reading(path: Path, form: str) -> Iterator[None]:
    """Turn whatever a damaged file makes the package that reads it raise into a `DatasetError` that names the file."""
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        reason = in_one_line(error)
        told = f"{path} cannot be read as {form}: {reason}. Restore the file from its source."
        raise DatasetError(told, kind="image") from None


def stand_in(shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    """Return an array of zeros of a shape that takes no memory, for what is known of voxels that are not read."""
    return np.broadcast_to(np.zeros(1, dtype=dtype), tuple(shape))


def affine_spacing(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the distance of neighbouring voxels along each axis."""
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return x, y, z


def as_lps(volume: Volume, path: Path) -> Volume:
    """Return the volume with its axes towards left, posterior and superior, as far as it says how it lies."""
    if volume.affine is None:
        return volume
    orientations = package("nibabel.orientations", path)
    ornt = orientations.io_orientation(volume.affine)
    if np.isnan(ornt).any():
        raise DatasetError(f"{path}: its affine has an axis of length 0, so that it does not say how it lies.")
    turn = orientations.ornt_transform(ornt, orientations.axcodes2ornt(LPS))
    values = orientations.apply_orientation(volume.values, turn)
    affine = volume.affine @ orientations.inv_ornt_aff(turn, volume.values.shape[:3])
    stored = "".join(orientations.aff2axcodes(volume.affine))
    return replace(volume, values=values, affine=affine, spacing=affine_spacing(affine), stored=stored)


class Reader(Protocol):
    """Reads a volume; without `pixels` its header alone, with a stand-in for its values."""

    def __call__(self, path: Path, *, pixels: bool) -> Volume:
        """Raise `DatasetError` if it cannot be read."""
        ...


def read_nifti(path: Path, *, pixels: bool) -> Volume:
    """Read a NIfTI file; scaling of its header is applied."""
    nibabel = package("nibabel", path)
    with reading(path, "NIfTI"):
        image = nibabel.load(path)
        if np.dtype(image.get_data_dtype()).fields is not None:
            raise ValueError("its voxels are colours or records; write one number a voxel")
        slope, inter = image.header.get_slope_inter() if hasattr(image.header, "get_slope_inter") else (1.0, 0.0)
        scaled = slope not in (None, 1.0) or inter not in (None, 0.0)
        dtype = np.dtype(np.float32) if scaled else image.get_data_dtype()
        values = np.asarray(image.dataobj, dtype=dtype) if pixels else stand_in(image.shape, dtype)
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim not in (3, 4):
        raise DatasetError(f"{path} has {values.ndim} dimensions, {values.shape}; 3 are expected, or 4 with channels.")
    known = int(image.header.get("qform_code", 1)) or int(image.header.get("sform_code", 1))
    unit = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "mm"
    factor = {"meter": 1e3, "micron": 1e-3}.get(unit, 1.0)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= factor
    if not known:  # nibabel makes one up
        x, y, z = (float(zoom) * factor for zoom in image.header.get_zooms()[:3])
        note = "its header has neither qform nor sform, and so says nothing about its orientation"
        return Volume(values, None, (x, y, z), note=note)
    return Volume(values, affine, affine_spacing(affine))


def read_nrrd(path: Path, *, pixels: bool) -> Volume:
    """Read an NRRD file."""
    nrrd = package("nrrd", path)
    with reading(path, "NRRD"):
        if pixels:
            values, header = nrrd.read(str(path), index_order="F")
        else:
            header = nrrd.read_header(str(path))
            values = stand_in(header["sizes"], np.uint8 if header["type"] in NRRD_BYTES else np.float32)
    kinds = [str(kind).lower() for kind in header.get("kinds", [])] or ["domain"] * values.ndim
    directions = np.asarray(header.get("space directions", np.full((values.ndim, 3), np.nan)), dtype=np.float64)
    spatial = [i for i, kind in enumerate(kinds) if kind in ("domain", "space")]
    if len(spatial) == 2 and values.ndim == 2:
        values, spatial = values[..., None], [0, 1, 2]
        return Volume(values, None, None, note="it holds one slice")
    if len(spatial) != 3 or values.ndim > 4:
        raise DatasetError(
            f"{path} has axes of the kinds {', '.join(kinds)}; three of space are expected, and at most one of "
            "channels."
        )
    others = [i for i in range(values.ndim) if i not in spatial]
    values = np.transpose(values, [*spatial, *others])
    signs = NRRD_SPACES.get(str(header.get("space", "")).lower())
    rows = directions[spatial] if directions.shape == (len(kinds), 3) else np.full((3, 3), np.nan)
    if signs is None or np.isnan(rows).any():
        spacings = np.asarray(header.get("spacings", np.full(values.ndim, np.nan)), dtype=np.float64)[spatial]
        sizes = np.linalg.norm(rows, axis=1) if not np.isnan(rows).any() else spacings
        known = None if np.isnan(sizes).any() else (float(sizes[0]), float(sizes[1]), float(sizes[2]))
        return Volume(values, None, known, note="its header says nothing about its orientation")
    affine = np.eye(4)
    affine[:3, :3] = rows.T * np.array(signs)[:, None]
    affine[:3, 3] = np.asarray(header.get("space origin", np.zeros(3)), dtype=np.float64) * np.array(signs)
    return Volume(values, affine, affine_spacing(affine))


def read_metaimage(path: Path, *, pixels: bool) -> Volume:
    """Read a MetaImage file; one whose header has no TransformMatrix is taken to lie as LPS, as ITK has it."""
    itk = package("SimpleITK", path)
    with reading(path, "MetaImage"):
        reader = itk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO("MetaImageIO")
        reader.ReadImageInformation()
        size, spacing, origin = reader.GetSize(), reader.GetSpacing(), reader.GetOrigin()
        directions = np.asarray(reader.GetDirection(), dtype=np.float64).reshape(len(size), len(size))
        channels = () if reader.GetNumberOfComponents() == 1 else (reader.GetNumberOfComponents(),)
        if pixels:
            stored = itk.GetArrayFromImage(reader.Execute())
            values = stored.transpose(*range(len(size))[::-1], *range(len(size), stored.ndim))
        else:
            is_byte = reader.GetPixelID() in (itk.sitkUInt8, itk.sitkVectorUInt8)
            values = stand_in((*size, *channels), np.uint8 if is_byte else np.float32)
    if len(size) == 2:
        return Volume(np.expand_dims(values, 2), None, None, note="it holds one slice")
    if len(size) != 3:
        raise DatasetError(f"{path} has {len(size)} dimensions, {size}; 3 are expected. Write one file each.")
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0]) @ directions @ np.diag(spacing)
    affine[:3, 3] = np.diag([-1.0, -1.0, 1.0]) @ np.asarray(origin)
    return Volume(values, affine, affine_spacing(affine))


def read_tiff_stack(path: Path, *, pixels: bool) -> Volume:
    """Read the pages of a TIFF as slices."""
    tifffile = package("tifffile", path, f'{FIX}, or pip install ".[bands]"')
    with reading(path, "TIFF"), tifffile.TiffFile(path) as file:
        series = file.series[0]
        axes = series.axes
        values = series.asarray() if pixels else stand_in(series.shape, series.dtype)
        spacing = _tiff_spacing(file)
    for position in reversed(range(len(axes))):
        if values.shape[position] == 1 and axes[position] not in "YX":
            values, axes = np.take(values, 0, axis=position), axes[:position] + axes[position + 1 :]
    # Pages without a word are slices; time points and rounds of acquisition are not.
    named = "".join({"I": "Z", "Q": "Z", "S": "C"}.get(axis, axis) for axis in axes)
    if not set("YX") <= set(named) or set(named) - set("ZYXC") or len(set(named)) != len(named):
        raise DatasetError(
            f"{path} has the axes {axes} of sizes {values.shape}; slices, rows, columns and channels (ZYXC) are "
            "expected. Write one file for each time point."
        )
    order = [named.index(axis) for axis in "XYZC" if axis in named]
    values = np.transpose(values, order)
    if "Z" not in named:
        values = np.expand_dims(values, 2)
    return Volume(values, None, spacing)


def _tiff_spacing(file: Any) -> tuple[float, float, float] | None:
    """Return millimetres of OME-XML or ImageJ; None where x, y or z is not said in a known unit."""
    if file.is_ome and file.ome_metadata:
        # Of several images the first counts.
        said = dict(re.findall(r'PhysicalSize([XYZ](?:Unit)?)="([^"]+)"', file.ome_metadata)[::-1])
        factors = [MILLIMETRES.get(said.get(f"{axis}Unit", "µm")) for axis in "XYZ"]
        if None in factors or not set("XYZ") <= said.keys():
            return None
        x, y, z = (float(said[axis]) * (factor or 1.0) for axis, factor in zip("XYZ", factors, strict=True))
        return x, y, z
    if file.is_imagej:
        said = file.imagej_metadata or {}
        factor = MILLIMETRES.get(str(said.get("unit", "")).lower())
        tags = file.pages[0].tags
        if factor is None or "spacing" not in said or "XResolution" not in tags or "YResolution" not in tags:
            return None
        (xn, xd), (yn, yd) = tags["XResolution"].value, tags["YResolution"].value
        if not (xn and yn):
            return None
        return xd / xn * factor, yd / yn * factor, float(said["spacing"]) * factor
    return None


def read_npy_volume(path: Path, *, pixels: bool) -> Volume:
    """Read an array (slice, row, column[, channel])."""
    with reading(path, "NumPy array"):
        mapped = mapped_array(path)
        values = np.array(mapped) if pixels else mapped
    if values.ndim not in (3, 4):
        raise DatasetError(f"{path} has the shape {values.shape}; (slice, row, column[, channel]) is expected.")
    return Volume(np.transpose(values, (2, 1, 0, *range(3, values.ndim))), None, None)


READERS: dict[str, Reader] = {
    ".nii": read_nifti, ".nii.gz": read_nifti, ".nrrd": read_nrrd, ".nhdr": read_nrrd,
    ".mha": read_metaimage, ".mhd": read_metaimage,
    ".tif": read_tiff_stack, ".tiff": read_tiff_stack, ".npy": read_npy_volume,
}  # fmt: skip
