"""Segmentations as highdicom writes them, the library most tools of research export with, give the labels drawn."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from bench.errors import DatasetError
from tests.bench.datasets.test_volumes import opened
from tests.bench.datasets.volume_files import scene, write_dicom

highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed; it writes the files of this test")
CLASSES = {"background": 0, "Liver": 1, "tumour": 2}
OF_A_SCANNER = {
    "PatientName": "p", "PatientBirthDate": "", "PatientSex": "", "StudyDate": "20200101", "StudyTime": "120000",
    "StudyID": "1", "SeriesNumber": 1, "AccessionNumber": "", "ReferringPhysicianName": "", "SliceThickness": 3.0,
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.1",
}  # fmt: skip


def description(number, label):
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Liver,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def write(root, kind, *, masks=None, omit_empty=True, numbers=(1, 2)):
    """A series, and the segmentation of its scene beside it; label maps where no masks, (z, y, x, 2), are given."""
    values, labels = scene()
    write_dicom(root / "a" / "ct", values, **OF_A_SCANNER)
    series = [pydicom.dcmread(path) for path in sorted((root / "a" / "ct").iterdir())]
    series.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    drawn = np.ascontiguousarray(labels.transpose(2, 1, 0)) if masks is None else masks
    one = highdicom.seg.Segmentation(
        source_images=series,
        pixel_array=drawn,
        segmentation_type=kind,
        segment_descriptions=[
            description(number, name) for number, name in zip(numbers, ("Liver", "tumour"), strict=True)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="m",
        manufacturer_model_name="m",
        software_versions="1",
        device_serial_number="1",
        omit_empty_frames=omit_empty,
    )
    one.save_as(root / "a" / "labels.dcm")
    return labels


def read(root):
    """Labels of all slices, (x, y, z)."""
    dataset = opened(root, images="{id}/ct", masks="{id}/labels.dcm", classes=CLASSES)
    return np.stack([dataset.target(i).semantic.labels.T for i in dataset.ids("all")], axis=-1)


@pytest.mark.parametrize("omit_empty", [True, False])
@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_labels_are_those_that_were_drawn(tmp_path, kind, omit_empty):
    labels = write(tmp_path, kind, omit_empty=omit_empty)
    assert np.array_equal(read(tmp_path), labels)


def test_of_overlapping_segments_the_later_class_lies_on_top(tmp_path):
    _, labels = scene()
    masks = np.stack([labels > 0, labels == 2], axis=-1).transpose(2, 1, 0, 3).astype(np.uint8)
    write(tmp_path, "BINARY", masks=np.ascontiguousarray(masks))
    assert np.array_equal(read(tmp_path), labels)


def test_fractions_of_all_or_nothing_are_read_and_others_refused(tmp_path):
    _, labels = scene()
    masks = np.stack([labels == 1, labels == 2], axis=-1).transpose(2, 1, 0, 3).astype(np.float32)
    write(tmp_path / "whole", "FRACTIONAL", masks=np.ascontiguousarray(masks))
    assert np.array_equal(read(tmp_path / "whole"), labels)
    write(tmp_path / "parts", "FRACTIONAL", masks=np.ascontiguousarray(masks * 0.6))
    with pytest.raises(DatasetError, match="FRACTIONAL"):
        read(tmp_path / "parts")
