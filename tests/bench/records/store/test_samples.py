"""Raw samples on disk."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from bench.errors import StoreError
from bench.records.store.samples import END_TO_END, STAGED, Samples


def make_samples(accepted: tuple[bool, ...] = (True, False)) -> Samples:
    """Four samples in two blocks, the clocks alternating."""
    small = np.arange(4)
    blocks = np.array([0.5, 0.25])
    return Samples(
        clock=np.array([END_TO_END, STAGED] * 2, dtype=np.int8),
        total_ns=small + 100,
        stage_ns=np.arange(12).reshape(4, 3),
        device_ns=np.full(4, -1),
        image_index=(small % 2).astype(np.int32),
        block=np.array([0, 0, 1, 1], dtype=np.int32),
        involuntary_switches=small.astype(np.int32),
        major_faults=small.astype(np.int32),
        image_ids=np.array(["a", "b"]),
        batch_size=np.array(1),
        warmup_ns=np.array([9, 5]),
        decode_ns=np.array([1, 2]),
        pipelined_ns=np.array(0),
        pipelined_images=np.array(0),
        block_accepted=np.array(accepted),
        block_wall_s=blocks,
        block_user_s=blocks,
        block_system_s=blocks,
        block_foreign_share=np.array([0.0, np.nan]),
        block_steal_share=blocks,
        block_involuntary_switches=np.array([1, 2]),
        audit_index=np.array([1], dtype=np.int32),
    )


def test_samples_read_back_as_they_were_written(tmp_path):
    samples = make_samples()
    samples.save(tmp_path / "samples.npz")
    loaded = Samples.load(tmp_path / "samples.npz")
    for field in fields(Samples):
        before, after = getattr(samples, field.name), getattr(loaded, field.name)
        np.testing.assert_array_equal(after, before)
        assert after.dtype == before.dtype


def test_samples_of_a_rejected_block_do_not_count():
    assert make_samples().usable(END_TO_END).tolist() == [True, False, False, False]
    assert make_samples().usable(STAGED).tolist() == [False, True, False, False]


def test_where_every_block_was_rejected_all_samples_count():
    assert make_samples((False, False)).usable(END_TO_END).tolist() == [True, False, True, False]


@pytest.mark.parametrize("left", [0, 1, 40, 400, -30])
def test_a_damaged_file_is_named(tmp_path, left):
    file = tmp_path / "samples.npz"
    make_samples().save(file)
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(StoreError, match=r"samples\.npz is damaged"):
        Samples.load(file)


def test_bytes_changed_on_disk_are_noticed(tmp_path):
    file = tmp_path / "samples.npz"
    replace(make_samples(), warmup_ns=np.arange(5000)).save(file)
    content = bytearray(file.read_bytes())
    at = content.index(b"warmup_ns.npy") + 400
    content[at : at + 8] = b"\xff" * 8
    file.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"samples\.npz is damaged"):
        Samples.load(file)


def test_a_file_of_another_version_is_named(tmp_path):
    np.savez(tmp_path / "samples.npz", clock=np.zeros(3))
    with pytest.raises(StoreError, match="another version"):
        Samples.load(tmp_path / "samples.npz")


ANY_LENGTH = ("warmup_ns", "audit_index")
CHANGES = {
    "another axis": lambda array: np.stack([array] * 2),
    "another type": lambda array: array.astype(str) if array.dtype.kind != "U" else np.arange(array.size),
    "another length": lambda array: array.reshape(-1)[:-1] if array.ndim else array.reshape(1),
    "another rank": lambda array: np.zeros((), array.dtype) if array.ndim else np.zeros((2, 2), array.dtype),
}
NAMES = [field.name for field in fields(Samples) if field.name != "stage_decode_ns"]


@pytest.mark.parametrize(
    ("name", "change"),
    [(name, change) for name in NAMES for change in CHANGES if name not in ANY_LENGTH or change != "another length"],
)
def test_an_array_of_another_form_is_a_damaged_file(tmp_path, name, change):
    sound = make_samples()
    replace(sound, **{name: CHANGES[change](getattr(sound, name))}).save(tmp_path / "samples.npz")
    with pytest.raises(StoreError, match=r"samples\.npz is damaged"):
        Samples.load(tmp_path / "samples.npz")


@pytest.mark.parametrize(
    "changes", [{"block": 99}, {"block": -1}, {"image_index": 10_000}, {"total_ns": -5}, {"audit_index": 77}]
)
def test_values_out_of_range_are_a_damaged_file(tmp_path, changes):
    sound = make_samples()
    ((name, value),) = changes.items()
    replace(sound, **{name: np.full_like(getattr(sound, name), value)}).save(tmp_path / "samples.npz")
    with pytest.raises(StoreError, match=r"samples\.npz is damaged"):
        Samples.load(tmp_path / "samples.npz")
