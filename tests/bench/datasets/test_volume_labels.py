"""MetaImage gives the slices that NIfTI gives; DICOM's segmentations and structure sets give the labels that were
drawn, by the names of their regions; nnU-Net's folds are taken as published."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.dataset import Dataset as Element
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from bench.data.detect import detect
from bench.data.formats.by_name import open_dataset as open_by_name
from bench.errors import DatasetError
from tests.bench.datasets.test_volumes import WINDOW, opened, raw_data_set
from tests.bench.datasets.volume_files import ORIGIN, SIZE, SPACING, scene, write_dicom, write_nifti

SEG_CLASS, STRUCTURES_CLASS = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3"


def same(one, other):
    """Whether two data sets of one volume have the same pictures and labels."""
    pairs = list(zip(one.ids("all"), other.ids("all"), strict=True))
    return bool(pairs) and all(
        np.array_equal(one.image(a), other.image(b))
        and np.array_equal(one.target(a).semantic.labels, other.target(b).semantic.labels)
        for a, b in pairs
    )


@pytest.fixture
def expected(tmp_path):
    values, labels = scene()
    write_nifti(tmp_path / "nifti/images/a.nii.gz", values)
    write_nifti(tmp_path / "nifti/masks/a.nii.gz", labels)
    return opened(tmp_path / "nifti")


@pytest.mark.parametrize("suffix", ["mha", "mhd"])
@pytest.mark.parametrize("codes", ["LPS", "RAS", "PIR"])
def test_metaimage_gives_the_slices_of_nifti(tmp_path, expected, suffix, codes):
    itk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed (extra: medical)")
    for folder, voxels in zip(("images", "masks"), scene(), strict=True):
        image = itk.GetImageFromArray(voxels.transpose(2, 1, 0))
        image.SetSpacing(SPACING)
        image.SetOrigin(ORIGIN)
        (tmp_path / "meta" / folder).mkdir(parents=True)
        itk.WriteImage(itk.DICOMOrient(image, codes), str(tmp_path / "meta" / folder / f"a.{suffix}"))
    dataset = opened(tmp_path / "meta")
    assert same(dataset, expected)
    assert dataset.spacing(dataset.ids("all")[0]) == expected.spacing(expected.ids("all")[0])


def label_object(path, uid, modality, **fields):
    """A DICOM file of some class of labels."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = uid, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = uid, meta.MediaStorageSOPInstanceUID, modality
    one.PatientID = "p"
    for name, value in fields.items():
        setattr(one, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)


def element(**fields):
    found = Element()
    for name, value in fields.items():
        setattr(found, name, value)
    return found


def write_seg(path, labels, names=("Liver", "tumour"), *, form="BINARY", shift=0.0):
    """A frame for each segment and slice that has any of it, in an order that says nothing; numbers are 11, 12, …"""
    frames, rows = [], []
    for number, _ in enumerate(names, start=1):
        for z in np.flatnonzero((labels == number).any(axis=(0, 1)))[::-1].tolist():
            frames.append((labels[:, :, z] == number).T)
            place = element(ImagePositionPatient=[ORIGIN[0] + shift, ORIGIN[1], ORIGIN[2] + z * SPACING[2]])
            rows.append(
                element(
                    PlanePositionSequence=Sequence([place]),
                    SegmentIdentificationSequence=Sequence([element(ReferencedSegmentNumber=10 + number)]),
                )
            )
    bits = np.packbits(np.stack(frames).ravel(), bitorder="little").tobytes()
    shared = element(
        PlaneOrientationSequence=Sequence([element(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=Sequence([element(PixelSpacing=[SPACING[1], SPACING[0]], SliceThickness=SPACING[2])]),
    )
    label_object(
        path, SEG_CLASS, "SEG", SegmentationType=form, Columns=SIZE[0], Rows=SIZE[1], NumberOfFrames=len(frames),
        SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", BitsAllocated=1, BitsStored=1, HighBit=0,
        PixelRepresentation=0, PixelData=bits + b"\0" * (len(bits) % 2),
        SegmentSequence=Sequence([element(SegmentNumber=11 + n, SegmentLabel=name) for n, name in enumerate(names)]),
        SharedFunctionalGroupsSequence=Sequence([shared]), PerFrameFunctionalGroupsSequence=Sequence(rows),
    )  # fmt: skip


def contour(corners, z):
    """A closed contour through corners in voxels, whose centres are whole."""
    points = [[ORIGIN[0] + x * SPACING[0], ORIGIN[1] + y * SPACING[1], ORIGIN[2] + z * SPACING[2]] for x, y in corners]
    return element(
        ContourGeometricType="CLOSED_PLANAR",
        NumberOfContourPoints=len(points),
        ContourData=[f"{number:.6f}" for point in points for number in point],
    )


def box(left, top, right, bottom):
    """Corners around the voxels of a range, half a voxel outside of their centres."""
    low, high = (left - 0.5, top - 0.5), (right - 0.5, bottom - 0.5)
    return [low, (high[0], low[1]), high, (low[0], high[1])]


def write_structures(path, regions):
    """A structure set of (name, contours); numbers count from 5."""
    names, drawn = zip(*regions, strict=True)
    numbers = range(5, 5 + len(names))
    label_object(
        path, STRUCTURES_CLASS, "RTSTRUCT",
        StructureSetROISequence=Sequence(
            [element(ROINumber=number, ROIName=name) for number, name in zip(numbers, names, strict=True)]
        ),
        ROIContourSequence=Sequence(
            [
                element(ReferencedROINumber=number, ContourSequence=Sequence(contours))
                for number, contours in zip(numbers, drawn, strict=True)
            ]
        ),
    )  # fmt: skip


def of_scene():
    """The two boxes of `scene` as contours."""
    return [
        ("LIVER ", [contour(box(1, 2, 4, 7), z) for z in (1, 2)]),
        ("tumour", [contour(box(7, 6, 11, 9), z) for z in (3, 4, 5)]),
    ]


NAMED = {"images": "{id}/ct", "masks": "{id}/labels.dcm"}


def test_segments_become_the_classes_of_their_names(tmp_path, expected):
    values, labels = scene()
    write_dicom(tmp_path / "d/a/ct", values)
    write_seg(tmp_path / "d/a/labels.dcm", labels)
    dataset = opened(tmp_path / "d", **NAMED)
    assert same(dataset, expected)
    assert dataset.group(dataset.ids("all")[0]) == "p"


def test_contours_become_the_voxels_whose_centres_they_hold(tmp_path, expected):
    write_dicom(tmp_path / "d/a/ct", scene()[0])
    write_structures(tmp_path / "d/a/labels.dcm", of_scene())
    assert same(opened(tmp_path / "d", **NAMED), expected)


def test_labels_that_lie_among_the_slices_are_no_slice_of_the_series(tmp_path, expected):
    write_dicom(tmp_path / "d/a", scene()[0])
    write_structures(tmp_path / "d/a/RS.dcm", of_scene())
    assert same(opened(tmp_path / "d", images="{id}", masks="{id}/RS.dcm"), expected)


def test_a_contour_within_another_is_a_hole_and_the_later_class_lies_on_top(tmp_path):
    write_dicom(tmp_path / "d/a/ct", scene()[0])
    regions = [
        ("tumour", [contour(box(2, 2, 4, 4), 1)]),
        ("liver", [contour(box(1, 1, 8, 8), 1), contour(box(5, 5, 7, 7), 1)]),
        ("BODY", [contour(box(0, 0, 12, 10), 1)]),
    ]
    write_structures(tmp_path / "d/a/labels.dcm", regions)
    dataset = opened(tmp_path / "d", **NAMED)
    wanted = np.zeros((SIZE[1], SIZE[0]), dtype=np.uint8)
    wanted[1:8, 1:8] = 1
    wanted[5:7, 5:7] = 0
    wanted[2:4, 2:4] = 2
    assert np.array_equal(dataset.target("a__z0001").semantic.labels, wanted)
    assert "regions that are no class are left out, of 1 files: BODY in 1" in dataset.description.inferred


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: write_seg(path, scene()[1], ("spleen", "kidney")), "its regions are spleen, kidney"),
        (lambda path: write_seg(path, scene()[1], shift=0.2), "it belongs to another series, or was resampled"),
        (lambda path: write_seg(path, scene()[1], form="FRACTIONAL"), "Write it as BINARY"),
        (lambda path: write_structures(path, [("liver", [contour(box(1, 1, 3, 3), 9)])]), "lies on no slice"),
    ],
)
def test_labels_that_are_not_of_the_series_or_of_no_class_are_refused(tmp_path, write, said):
    write_dicom(tmp_path / "d/a/ct", scene()[0])
    write(tmp_path / "d/a/labels.dcm")
    dataset = opened(tmp_path / "d", **NAMED)
    with pytest.raises(DatasetError, match=said):
        dataset.target(dataset.ids("all")[0])


def test_undeclared_regions_are_named_with_the_lines_to_write_and_detected(tmp_path):
    for case in ("a", "b", "c"):
        write_dicom(tmp_path / "d" / case / "ct", scene()[0], patient=case)
        write_seg(tmp_path / "d" / case / "labels.dcm", scene()[1])
    with pytest.raises(DatasetError, match=r"classes: \{background: 0, Liver: 1, tumour: 2\}"):
        opened(tmp_path / "d", **NAMED, classes=None)
    first = detect(tmp_path / "d")[0]
    assert (first.guess.name, first.trouble) == ("volumes", "")
    assert first.guess.options["classes"] == {"background": 0, "Liver": 1, "tumour": 2}


def test_a_label_object_alone_is_no_series(tmp_path):
    write_seg(tmp_path / "d/images/a.dcm", scene()[1])
    write_nifti(tmp_path / "d/masks/a.nii.gz", scene()[1])
    with pytest.raises(DatasetError, match="are masks: name them by the pattern masks"):
        opened(tmp_path / "d")


# ------------------------------------------------------------------ folds of nnU-Net


def with_folds(root, folds):
    raw_data_set(root)
    (root / "splits_final.json").write_text(json.dumps([{"train": [], "val": names} for names in folds]))
    return {"root": str(root), "window": list(WINDOW)}


def cases_of(dataset, split):
    return {dataset.place(image_id).volume for image_id in dataset.ids(split)}


def test_the_folds_of_nnunet_are_taken_as_published(tmp_path):
    options = with_folds(tmp_path, [["case_1", "case_3"], ["case_0"], ["case_2"]])
    parts = open_by_name("nnunet", {**options, "folds": 3})
    assert [cases_of(parts, f"fold{n}") for n in (1, 2, 3)] == [{"case_1", "case_3"}, {"case_0"}, {"case_2"}]
    first = open_by_name("nnunet", {**options, "folds": 3, "fold": 1, "validation": 0.4})
    assert cases_of(first, "test") == {"case_1", "case_3"}
    assert cases_of(first, "train") | cases_of(first, "val") == {"case_0", "case_2"}


@pytest.mark.parametrize(
    ("folds", "asked", "said"),
    [
        ([["case_0", "case_1"], ["case_2", "case_3"]], 5, "it has 2 folds.*Write folds: 2"),
        ([["case_0"], ["case_2", "case_3"]], 2, "of .* images it says nothing"),
        ([["case_0", "case_1"], ["case_0", "case_3"]], 2, "'case_0' is in val of two folds"),
        ([["case_0", "nobody"], ["case_2"]], 2, "not in imagesTr, for example 'nobody'"),
    ],
)
def test_folds_that_do_not_fit_are_refused(tmp_path, folds, asked, said):
    with pytest.raises(DatasetError, match=said):
        open_by_name("nnunet", {**with_folds(tmp_path, folds), "folds": asked}).ids("fold1")


def test_volumes_in_a_window_are_given_as_floats_where_they_are_asked_for(tmp_path, expected):
    exact = opened(tmp_path / "nifti", depth="floats")
    low, high = WINDOW
    values = scene()[0].astype(np.float64)
    for z, image_id in enumerate(exact.ids("all")):
        image = exact.image(image_id)
        assert image.dtype == np.float32
        wanted = np.clip((values[:, :, z].T - low) / (high - low) * 255, 0, 255)
        np.testing.assert_allclose(image[..., 0], wanted, atol=1e-4)
        assert np.array_equal(np.rint(image).astype(np.uint8), expected.image(image_id))
    assert exact.fingerprint("all") == expected.fingerprint("all")
