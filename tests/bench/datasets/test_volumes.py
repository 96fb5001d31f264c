"""Volumes of every form give the same slices with their millimetres; what lies otherwise is refused."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile

from bench.data.formats.by_name import open_dataset as open_by_name
from bench.data.formats.encoding import encoded_image
from bench.data.formats.folder_pairs import unread
from bench.data.formats.image_files import decode_image
from bench.datasets.volumes import Options, open_dataset
from bench.errors import DatasetError
from tests.bench.datasets.volume_files import RAS, SIZE, lps_affine, scene, write_dicom, write_nifti, write_nrrd

CLASSES = {"background": 0, "liver": 1, "tumour": 2}
WINDOW = (-300, 723)
ALL = {"all": 1.0}


def opened(root, **options):
    return open_dataset(Options(root=str(root), **{"classes": CLASSES, "window": WINDOW, "fractions": ALL, **options}))


def grey(values, window=WINDOW):
    """What a window makes of values, by its definition."""
    low, high = window
    return np.clip(np.round((values.astype(np.float64) - low) / (high - low) * 255), 0, 255).astype(np.uint8)


FORMS = {
    "NIfTI, LPS": lambda root, v, m: (
        write_nifti(root / "images/a.nii.gz", v),
        write_nifti(root / "masks/a.nii.gz", m),
    ),
    "NIfTI, RAS": lambda root, v, m: (
        write_nifti(root / "images/a.nii", v, "RAS"),
        write_nifti(root / "masks/a.nii", m),
    ),
    "NIfTI, stored sagittally": lambda root, v, m: (
        write_nifti(root / "images/a.nii", v, "PSR"),
        write_nifti(root / "masks/a.nii", m, "ASL"),
    ),
    "NRRD": lambda root, v, m: (write_nrrd(root / "images/a.nrrd", v), write_nrrd(root / "masks/a.nrrd", m)),
    "DICOM with a mask in NIfTI": lambda root, v, m: (
        write_dicom(root / "images/a", v),
        write_nifti(root / "masks/a.nii.gz", m, "RAS"),
    ),
    "DICOM with a mask in DICOM": lambda root, v, m: (
        write_dicom(root / "images/a", v, intercept=-1024),
        write_dicom(root / "masks/a", m),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_axial_slices_from_foot_to_head(tmp_path, form):
    values, labels = scene()
    FORMS[form](tmp_path, values, labels)
    dataset = opened(tmp_path)
    ids = dataset.ids("all")
    assert ids == tuple(f"a__z{z:04d}" for z in range(SIZE[2]))
    for z, image_id in enumerate(ids):
        image = dataset.image(image_id)
        assert dataset.size(image_id) == (SIZE[1], SIZE[0])
        # The patient's right is on the left, the front on top: columns run to the left, rows to the back.
        assert image[..., 0].tolist() == grey(values[:, :, z].T).tolist()
        assert image[..., 0].tolist() == image[..., 2].tolist()
        assert dataset.target(image_id).semantic.labels.tolist() == labels[:, :, z].T.tolist()
        assert dataset.spacing(image_id) == pytest.approx((0.75, 0.5, 3.0))
        assert dataset.place(image_id) == ("a", z)


@pytest.mark.parametrize(
    ("axis", "letter", "plane", "spacing"),
    [
        ("coronal", "y", lambda v, k: v[:, k, ::-1].T, (3.0, 0.5, 0.75)),
        ("sagittal", "x", lambda v, k: v[k, :, ::-1].T, (3.0, 0.75, 0.5)),
    ],
)
def test_the_head_is_on_top_of_coronal_and_sagittal_slices(tmp_path, axis, letter, plane, spacing):
    values, labels = scene()
    FORMS["NIfTI, RAS"](tmp_path, values, labels)
    dataset = opened(tmp_path, axis=axis)
    for k, image_id in enumerate(dataset.ids("all")):
        assert image_id == f"a__{letter}{k:04d}"
        assert dataset.image(image_id)[..., 1].tolist() == grey(plane(values, k)).tolist()
        assert dataset.target(image_id).semantic.labels.tolist() == plane(labels, k).tolist()
        assert dataset.size(image_id) == dataset.image(image_id).shape[:2]
        assert dataset.spacing(image_id) == pytest.approx(spacing)


def test_slices_as_stored_are_turned_by_nothing(tmp_path):
    values, labels = scene()
    for name, volume in (("images", values), ("masks", labels)):
        write_nifti(tmp_path / name / "a.nii", volume, "RAS")
    stored = np.asarray(nib.load(tmp_path / "images/a.nii").dataobj)
    first = opened(tmp_path, axis="stored")
    assert first.image(first.ids("all")[1])[..., 0].tolist() == grey(values[:, :, 1].T).tolist()
    assert not np.array_equal(stored, values)


def test_a_stack_of_tiff_pages_is_sliced_page_by_page_and_its_ome_spacing_is_kept(tmp_path):
    values, labels = scene()
    pages = np.transpose(values, (2, 1, 0)).astype(np.uint16)
    for name, stack in (("images", pages), ("masks", np.transpose(labels, (2, 1, 0)))):
        (tmp_path / name).mkdir()
        meta = {"axes": "ZYX", "PhysicalSizeX": 500.0, "PhysicalSizeY": 750.0, "PhysicalSizeZ": 3000.0}
        tifffile.imwrite(tmp_path / name / "a.ome.tif", stack, metadata=meta)
    dataset = opened(tmp_path, images="images/{id}.ome.tif", masks="masks/{id}.ome.tif", window=(0, 65535))
    assert dataset.image("a__s0002")[..., 0].tolist() == grey(pages[2], (0, 65535)).tolist()
    assert dataset.target("a__s0002").semantic.labels.tolist() == labels[:, :, 2].T.tolist()
    assert dataset.spacing("a__s0002") == pytest.approx((0.75, 0.5, 3.0))
    with pytest.raises(DatasetError, match="do not say how they lie"):
        opened(tmp_path, images="images/{id}.ome.tif", masks="masks/{id}.ome.tif", axis="axial")


def test_slices_of_one_patient_stay_in_one_split(tmp_path):
    values, labels = scene()
    for number in range(6):
        write_dicom(tmp_path / f"images/s{number}", values, patient=f"patient {number // 2}")
        write_nifti(tmp_path / f"masks/s{number}.nii", labels)
    dataset = opened(tmp_path, fractions={"train": 0.5, "test": 0.5})
    groups = {split: {dataset.group(i) for i in dataset.ids(split)} for split in dataset.splits()}
    assert groups["train"] | groups["test"] == {"patient 0", "patient 1", "patient 2"}
    assert not groups["train"] & groups["test"]
    folded = open_by_name(
        "volumes",
        {"root": str(tmp_path), "classes": CLASSES, "window": list(WINDOW), "folds": 3, "fold": 1, "every": 2},
    )
    assert {folded.group(i) for i in folded.ids("test")} & {folded.group(i) for i in folded.ids("train")} == set()


@pytest.mark.parametrize(
    ("window", "channels"),
    [(((-300, 0), (0, 400), (100, 723)), 3), (((-300, 0), (0, 400)), 2)],
)
def test_several_windows_of_one_volume_are_channels(tmp_path, window, channels):
    values, labels = scene()
    FORMS["NIfTI, LPS"](tmp_path, values, labels)
    dataset = opened(tmp_path, window=window)
    image = dataset.image("a__z0001")
    assert image.shape[2] == channels == (3 if dataset.bands is None else dataset.bands.channels)
    for channel, one in enumerate(window):
        assert image[..., channel].tolist() == grey(values[:, :, 1].T, one).tolist()


def test_volumes_beside_each_other_are_channels_in_the_order_of_the_option(tmp_path):
    values, labels = scene()
    for name in ("t1", "t2", "flair", "seg"):
        volume = labels if name == "seg" else (values + len(name) * 10).astype(np.int16)
        write_nifti(tmp_path / f"p1/p1_{name}.nii.gz", volume)
    dataset = opened(
        tmp_path,
        images="{group}/{id}_{channel}.nii.gz",
        masks="{group}/{id}_seg.nii.gz",
        channels=("flair", "t1", "t2"),
    )
    image_id = dataset.ids("all")[1]
    assert (dataset.group(image_id), dataset.bands) == ("p1", None)
    image = dataset.image(image_id)
    assert image[..., 0].tolist() == grey((values + 50)[:, :, 1].T).tolist()
    assert image[..., 2].tolist() == grey((values + 20)[:, :, 1].T).tolist()
    with pytest.raises(DatasetError, match="lack a channel, for example p1"):
        opened(tmp_path, images="{group}/{id}_{channel}.nii.gz", masks="{group}/{id}_seg.nii.gz", channels=("t1", "pd"))


def test_percentiles_are_those_of_each_volume(tmp_path):
    values, labels = scene()
    FORMS["NIfTI, LPS"](tmp_path, values, labels)
    dataset = opened(tmp_path, window={"percentiles": (10, 90)})
    window = np.percentile(values, (10, 90))
    assert dataset.image("a__z0003")[..., 0].tolist() == grey(values[:, :, 3].T, window).tolist()


def test_the_encoded_slice_decodes_to_the_image(tmp_path):
    FORMS["NIfTI, LPS"](tmp_path, *scene())
    dataset = opened(tmp_path)
    again = decode_image(encoded_image(dataset, "a__z0002"), tmp_path / "a.png")
    assert again.tolist() == dataset.image("a__z0002").tolist()


def test_values_without_a_window_and_masks_without_classes_are_refused_with_what_was_seen(tmp_path):
    FORMS["DICOM with a mask in NIfTI"](tmp_path, *scene())
    with pytest.raises(DatasetError, match=r"int16 from -300 to 541.*window: \[-160, 240\].*percentiles"):
        opened(tmp_path, window=None)
    with pytest.raises(DatasetError, match=r"hold 0, 1, 2\..*classes: \{background: 0, class 1: 1, class 2: 2\}"):
        opened(tmp_path, classes=None)


def test_the_window_that_dicom_proposes_is_told(tmp_path):
    values, labels = scene()
    write_dicom(tmp_path / "images/a", values, WindowCenter=40, WindowWidth=400)
    write_nifti(tmp_path / "masks/a.nii", labels)
    with pytest.raises(DatasetError, match=r"its header proposes -160 to 240"):
        opened(tmp_path, window=None)


def test_a_mask_that_its_header_places_elsewhere_is_refused_until_the_grid_is_said_to_be_the_stored_one(tmp_path):
    values, labels = scene()
    write_nifti(tmp_path / "images/a.nii", values)
    (tmp_path / "masks").mkdir()
    nib.save(nib.Nifti1Image(labels, np.eye(4)), tmp_path / "masks/a.nii")
    dataset = opened(tmp_path)
    with pytest.raises(DatasetError, match=r"mm away from its image.*mask_grid: stored") as caught:
        dataset.target("a__z0001")
    assert caught.value.kind == "size"
    dataset = opened(tmp_path, mask_grid="stored")
    assert dataset.target("a__z0001").semantic.labels.tolist() == labels[:, :, 1].T.tolist()
    nib.save(nib.Nifti1Image(labels[:, :, :5], RAS @ lps_affine()), tmp_path / "masks/a.nii")
    with pytest.raises(DatasetError, match=r"it has \(12, 10, 5\) voxels"):
        opened(tmp_path, mask_grid="stored").target("a__z0001")


def test_interpolated_masks_and_strange_labels_are_refused(tmp_path):
    values, labels = scene()
    write_nifti(tmp_path / "images/a.nii", values)
    write_nifti(tmp_path / "masks/a.nii", labels.astype(np.float32) * 0.5)
    with pytest.raises(DatasetError, match="holds fractions"):
        opened(tmp_path).target("a__z0001")
    write_nifti(tmp_path / "masks/a.nii", labels * np.uint8(3))
    with pytest.raises(DatasetError, match=r"labels outside the table: 3 \(15 pixels\)"):
        open_dataset(
            Options(root=str(tmp_path), classes={"background": 0, "a": 1}, window=WINDOW, fractions=ALL)
        ).target("a__z0001")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root, v: write_dicom(root / "images/a", v, order=range(100, 100 + v.shape[2])), "2 series"),
        (
            lambda root, v: (root / "masks/b.nii").write_bytes((root / "masks/a.nii").read_bytes()),
            "1 masks have no image",
        ),
        (lambda root, v: (root / "masks/a.nii").unlink(), "1 of 1 volumes have no mask"),
    ],
)
def test_a_folder_that_does_not_fit_together_is_refused_with_the_reason(tmp_path, damage, said):
    values, labels = scene()
    write_dicom(tmp_path / "images/a", values)
    write_nifti(tmp_path / "masks/a.nii", labels)
    damage(tmp_path, values)
    with pytest.raises(DatasetError, match=said):
        opened(tmp_path).image("a__z0000")


def test_slices_that_are_missing_in_a_series_are_told_and_no_distance_is_made_up(tmp_path):
    values, labels = scene()
    write_dicom(tmp_path / "images/a", values)
    write_dicom(tmp_path / "masks/a", labels)
    for folder in ("images/a", "masks/a"):
        for file in (tmp_path / folder).iterdir():
            if file.name == "IM0000":  # slice 2 of 6
                file.unlink()
    dataset = opened(tmp_path)
    assert dataset.spacing("a__z0000").slice is None
    assert any("3 to 6 mm apart" in told for told in dataset.description.inferred)


def test_numbers_of_objects_are_instances_of_each_slice(tmp_path):
    values, labels = scene()
    FORMS["NIfTI, LPS"](tmp_path, values, labels)
    dataset = opened(tmp_path, classes=None, masks_hold="instances", object_class="cell")
    ground_truth = dataset.target("a__z0002")
    assert [c.name for c in dataset.classes] == ["background", "cell"]
    assert ground_truth.instances.masks.sum(axis=(1, 2)).tolist() == [15]
    assert ground_truth.semantic.labels.tolist() == (labels[:, :, 2].T > 0).astype(int).tolist()


def test_what_was_found_is_told_for_the_record(tmp_path):
    values, labels = scene()
    for name, codes in (("a", "RAS"), ("b", "LPS")):
        write_nifti(tmp_path / f"images/{name}.nii", values, codes)
        write_nifti(tmp_path / f"masks/{name}.nii", labels)
    told = " ".join(opened(tmp_path).description.inferred)
    assert "RAS in 1, LPS in 1 volumes; all are turned to LPS" in told
    assert "0.75 × 0.5 mm (row × column), slices 3 mm apart" in told
    assert "values are cut to -300 to 723" in told


# ------------------------------------------------------------------ nnU-Net's raw layout


def raw_data_set(root, labels=None, channels=1, cases=4, part="Tr"):
    """A folder as nnU-Net wants it, and its scene."""
    values, mask = scene()
    for number in range(cases):
        for channel in range(channels):
            write_nifti(root / f"images{part}/case_{number}_{channel:04d}.nii.gz", (values + channel).astype(np.int16))
        write_nifti(root / f"labels{part}/case_{number}.nii.gz", mask)
    names = {str(channel): "CT" for channel in range(channels)}
    document = {"channel_names": names, "labels": labels or CLASSES, "file_ending": ".nii.gz", "numTraining": cases}
    (root / "dataset.json").write_text(json.dumps(document))
    return values, mask


def test_nnunets_raw_layout_is_read_with_its_classes_channels_and_test_cases(tmp_path):
    values, mask = raw_data_set(tmp_path, channels=2)
    raw_data_set(tmp_path, channels=2, cases=1, part="Ts")
    dataset = open_by_name("nnunet", {"root": str(tmp_path), "window": list(WINDOW)})
    assert [c.name for c in dataset.classes] == ["background", "liver", "tumour"]
    assert {split: len(dataset.ids(split)) for split in dataset.splits()} == {"train": 18, "val": 6, "test": 6}
    image = dataset.image(dataset.ids("train")[2])
    assert image.tolist() == np.stack([grey((values + c)[:, :, 2].T) for c in (0, 1)], axis=-1).tolist()
    assert dataset.target(dataset.ids("test")[4]).semantic.labels.tolist() == mask[:, :, 4].T.tolist()


def test_the_decathlons_dataset_json_names_labels_by_value(tmp_path):
    raw_data_set(tmp_path, labels={"0": "background", "1": "liver", "2": "tumour"})
    for file in (tmp_path / "imagesTr").iterdir():
        file.rename(file.with_name(file.name.replace("_0000", "")))
    dataset = open_by_name("nnunet", {"root": str(tmp_path), "window": list(WINDOW)})
    assert [c.name for c in dataset.classes] == ["background", "liver", "tumour"]


def test_the_label_ignore_is_void_and_regions_are_refused(tmp_path):
    _, mask = raw_data_set(tmp_path, labels={"background": 0, "liver": 1, "ignore": 2})
    dataset = open_by_name("nnunet", {"root": str(tmp_path), "window": list(WINDOW)})
    labels = dataset.target(dataset.ids("train")[4]).semantic.labels
    assert labels.tolist() == np.where(mask[:, :, 4].T == 2, 255, mask[:, :, 4].T).tolist()
    raw_data_set(tmp_path, labels={"background": 0, "whole": [1, 2], "core": 2})
    with pytest.raises(DatasetError, match=r"whole are regions.*classes: \{background: 0, class 1: 1, class 2: 2\}"):
        open_by_name("nnunet", {"root": str(tmp_path), "window": list(WINDOW)})


def test_cases_without_all_of_their_files_are_counted(tmp_path):
    raw_data_set(tmp_path, channels=2)
    (tmp_path / "imagesTr/case_1_0001.nii.gz").unlink()
    (tmp_path / "labelsTr/case_2.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"1 images are missing, for example case_1_0001.*2 images have no labels"):
        open_by_name("nnunet", {"root": str(tmp_path), "window": list(WINDOW)})


def test_a_change_in_any_file_of_a_volume_changes_the_fingerprint_and_none_is_a_leftover(tmp_path):
    values, labels = scene()
    write_dicom(tmp_path / "images/a", values)
    write_nifti(tmp_path / "masks/a.nii", labels)
    before = opened(tmp_path)
    old = before.fingerprint("all")
    assert [left.describe() for left in unread(before)] == []
    changed = sorted((tmp_path / "images/a").iterdir())[4]
    changed.write_bytes(changed.read_bytes()[:-1] + b"\x07")
    assert opened(tmp_path).fingerprint("all") != old
    raw_data_set(tmp_path / "raw", channels=2)
    raw = open_by_name("nnunet", {"root": str(tmp_path / "raw"), "window": list(WINDOW)})
    prints = {split: raw.fingerprint(split) for split in raw.splits()}
    assert [left.describe() for left in unread(raw)] == []
    write_nifti(tmp_path / "raw/imagesTr/case_0_0001.nii.gz", values)
    again = open_by_name("nnunet", {"root": str(tmp_path / "raw"), "window": list(WINDOW)})
    assert sum(again.fingerprint(split) != prints[split] for split in raw.splits()) == 1
