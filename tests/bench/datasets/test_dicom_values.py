"""Values of DICOM are those that its headers say, frame by frame; what cannot be applied is refused."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from bench.data.formats.dicom_series import read_series
from bench.data.formats.volume_places import volume_paths
from bench.datasets.volumes import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.volume_files import SIZE, scene, write_dicom, write_nifti


def test_each_frame_of_an_enhanced_series_has_its_own_rescaling(tmp_path):
    values, _ = scene()
    write_dicom(tmp_path / "plain", values)
    one = pydicom.dcmread(next((tmp_path / "plain").iterdir()))
    stored, frames = [], []
    for z in range(SIZE[2]):
        slope, intercept = 1 + z % 2, -1000 * (z % 2)
        stored.append((values[..., z].T.astype(int) - intercept) // slope)
        scaling, place, frame = Dataset(), Dataset(), Dataset()
        scaling.RescaleSlope, scaling.RescaleIntercept = slope, intercept
        place.ImagePositionPatient = [0, 0, 3.0 * z]
        frame.PixelValueTransformationSequence, frame.PlanePositionSequence = [scaling], [place]
        frames.append(frame)
    plane, measures, shared = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.75, 0.5]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    one.SharedFunctionalGroupsSequence, one.PerFrameFunctionalGroupsSequence = [shared], frames
    one.NumberOfFrames, one.PixelData = SIZE[2], np.stack(stored).astype(np.int16).tobytes()
    one.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    (tmp_path / "series").mkdir()
    for name in ("a", "b"):
        one.save_as(tmp_path / "series" / f"{name}.dcm", enforce_file_format=True)
    found = [path for path in volume_paths(tmp_path) if path.startswith("series")]
    assert found == ["series/a.dcm", "series/b.dcm"]
    found = read_series(tmp_path / "enhanced.dcm", pixels=True).values
    off = np.abs(found - values)
    assert off[..., ::2].max() == 0
    assert off[..., 1::2].max() <= 1  # a half is lost where the slope is 2


def test_a_table_of_values_is_refused_and_not_passed_over(tmp_path):
    values, labels = scene()
    write_dicom(tmp_path / "images" / "a", values)
    write_nifti(tmp_path / "masks" / "a.nii.gz", labels)
    for file in (tmp_path / "images" / "a").iterdir():
        one, row = pydicom.dcmread(file), Dataset()
        row.add_new("LUTDescriptor", "US", [2, 0, 16])
        row.add_new("ModalityLUTType", "LO", "US")
        row.add_new("LUTData", "US", [0, 1])
        one.ModalityLUTSequence = [row]
        one.save_as(file, enforce_file_format=True)
    options = {"images": "images/{id}", "masks": "masks/{id}.nii.gz", "classes": {"background": 0, "a": 1, "b": 2}}
    dataset = open_dataset(Options(root=str(tmp_path), window=(0, 1), fractions={"all": 1.0}, **options))
    with pytest.raises(DatasetError, match="turned into others by a table"):
        dataset.image(dataset.ids("all")[0])
