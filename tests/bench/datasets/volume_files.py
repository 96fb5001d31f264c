"""Small volumes in every form of file, of one scene given in the patient's axes: left, posterior, superior."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

SIZE = (12, 10, 6)
"""Voxels towards left, posterior, superior."""
SPACING = (0.5, 0.75, 3.0)
ORIGIN = (-20.0, 5.0, 100.0)


def scene(number=0):
    """Values, int16, of which no two neighbours are equal, and labels 0, 1, 2, of no symmetry; both (x, y, z)."""
    x, y, z = np.indices(SIZE)
    values = (x * 7 + y * 31 + z * 97 + number * 5 - 300).astype(np.int16)
    labels = np.zeros(SIZE, np.uint8)
    labels[1:4, 2:7, 1:3] = 1
    labels[7:11, 6:9, 3:6] = 2
    return values, labels


def lps_affine():
    """Voxel indices to millimetres in LPS."""
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = ORIGIN
    return affine


RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nifti(path: Path, values, codes="LPS"):
    """Write a volume, given in LPS, with its axes stored in another order and direction."""
    image = nib.Nifti1Image(values, RAS @ lps_affine())
    wanted = nib.orientations.axcodes2ornt(codes)
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), wanted)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(turn), path)


def write_nrrd(path: Path, values):
    import nrrd

    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"space": "left-posterior-superior", "space directions": np.diag(SPACING), "space origin": list(ORIGIN)}
    nrrd.write(str(path), np.asfortranarray(values), {**header, "kinds": ["domain"] * 3})


def write_dicom(folder: Path, values, *, patient="p", slope=1, intercept=0, order=None, **tags):
    """A file for each slice, named in an order that says nothing about their places."""
    folder.mkdir(parents=True, exist_ok=True)
    series, study = generate_uid(), generate_uid()
    count = values.shape[2]
    for number in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        name = (number * 5 + 2) % count if order is None else order[number]
        one = FileDataset(str(folder / f"IM{name:04d}"), {}, file_meta=meta, preamble=b"\0" * 128)
        one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        one.PatientID, one.Modality = patient, "CT"
        one.SeriesInstanceUID, one.StudyInstanceUID, one.InstanceNumber = series, study, count - number
        one.Columns, one.Rows = values.shape[:2]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.RescaleSlope, one.RescaleIntercept = slope, intercept
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        one.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + number * SPACING[2]]
        one.PixelSpacing = [SPACING[1], SPACING[0]]
        stored = (values[:, :, number].astype(np.int32) - intercept) // slope
        one.PixelData = np.ascontiguousarray(stored.T.astype(np.int16)).tobytes()
        for tag, value in tags.items():
            setattr(one, tag, value)
        one.save_as(folder / f"IM{name:04d}", enforce_file_format=True)
