"""A timed path that begins at the content of files: decoding is a stage, paid for by end to end."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from bench.measure.pipelined import for_seconds, pipelined
from bench.measure.stages import end_to_end, staged
from bench.records import Measurement
from bench.records.store.samples import END_TO_END, STAGED, Samples
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock, blank
from tests.bench.measure.test_timing import SCRIPTED, Noise, changed, time_scripted
from tests.bench.records.store.test_samples import make_samples

HOST_NS, DEVICE_NS = (10, 200, 3000), (40_000, 500_000, 6_000_000)
DECODE_HOST_NS, DECODE_DEVICE_NS = 70_000_000, 800_000_000


class Decoding(ScriptedAdapter):
    """Decodes by itself: so long on the host, and so long on the device."""

    def decode(self, encoded):
        self.calls.append("decode")
        self.clock.now_ns += DECODE_HOST_NS
        self.queued_ns += DECODE_DEVICE_NS
        self.given = list(encoded)
        return [blank() for _ in encoded]


class Keeping(ScriptedAdapter):
    """Keeps what it is handed."""

    def preprocess(self, images):
        self.given = list(images)
        return super().preprocess(images)


def png(image):
    return cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes()


def decoding():
    return Decoding(ScriptedClock(), HOST_NS, DEVICE_NS)


def test_end_to_end_from_a_file_pays_for_decoding():
    adapter = decoding()
    timed = end_to_end(adapter, [blank()], adapter.clock, encoded=[b"file"])
    assert timed.total_ns == sum(HOST_NS) + sum(DEVICE_NS) + DECODE_HOST_NS + DECODE_DEVICE_NS
    assert adapter.calls == ["synchronize", "decode", "preprocess", "infer", "postprocess", "synchronize"]
    assert adapter.given == [b"file"]


def test_decoding_is_a_stage_of_its_own_that_waits_for_the_device():
    adapter = decoding()
    timed = staged(adapter, [blank()], adapter.clock, encoded=[b"file"])
    assert timed.decode_ns == DECODE_HOST_NS + DECODE_DEVICE_NS
    assert timed.stage_ns == tuple(h + d for h, d in zip(HOST_NS, DEVICE_NS, strict=True))
    assert timed.total_ns == timed.decode_ns + sum(timed.stage_ns)


def test_work_left_over_from_before_is_not_charged_to_decoding():
    adapter = decoding()
    adapter.queued_ns = 10**10
    timed = staged(adapter, [blank()], adapter.clock, encoded=[b"file"])
    assert timed.decode_ns == DECODE_HOST_NS + DECODE_DEVICE_NS


def test_from_arrays_nothing_is_decoded():
    adapter = decoding()
    assert staged(adapter, [blank()], adapter.clock).decode_ns is None
    assert "decode" not in adapter.calls


def test_throughput_from_files_decodes_every_batch():
    adapter = decoding()
    more = for_seconds(0.1)
    flow = pipelined(adapter, lambda n: [blank()] * 2, adapter.clock, more, encoded=lambda n: [b"a", b"b"])
    # Each batch keeps the host for 70 ms and some: a second starts before 100 ms, a third does not.
    assert (flow.count, adapter.calls.count("decode")) == (4, 2)
    assert flow.wall_ns == 2 * (sum(HOST_NS) + sum(DEVICE_NS) + DECODE_HOST_NS + DECODE_DEVICE_NS)


def test_the_harness_decodes_where_the_adapter_does_not():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    adapter = Keeping(ScriptedClock())
    end_to_end(adapter, [image], adapter.clock, encoded=[png(image)])
    assert np.array_equal(adapter.given[0], image)


class Files(Noise):
    """The same images as PNG."""

    def encoded(self, image_id):
        return png(self.image(image_id))


def time_from(source, adapter, **measurement):
    return time_scripted(adapter, changed(SCRIPTED, pipelined_s=1e-4, **measurement), source=source).samples


class Shaped(Decoding):
    """Decodes to the size that the files have."""

    def decode(self, encoded):
        return [blank(16, 20) for _ in super().decode(encoded)]


def test_samples_of_a_path_from_files_hold_the_time_of_decoding():
    samples = time_from(Files(), Shaped(ScriptedClock(), HOST_NS, DEVICE_NS), input="file")
    decode_ns = DECODE_HOST_NS + DECODE_DEVICE_NS
    assert samples.from_file
    assert set(samples.stage_decode_ns[samples.clock == STAGED].tolist()) == {decode_ns}
    assert set(samples.stage_decode_ns[samples.clock == END_TO_END].tolist()) == {0}
    assert set(samples.total_ns.tolist()) == {sum(HOST_NS) + sum(DEVICE_NS) + decode_ns}


def test_samples_of_a_path_from_arrays_hold_none_and_ask_for_no_file():
    samples = time_from(Noise(), decoding())
    assert not samples.from_file
    assert set(samples.total_ns.tolist()) == {sum(HOST_NS) + sum(DEVICE_NS)}


def test_samples_from_files_read_back_and_old_files_are_still_read(tmp_path):
    old, new = tmp_path / "old.npz", tmp_path / "new.npz"
    samples = make_samples()
    fields = {name: value for name, value in vars(samples).items() if name != "stage_decode_ns"}
    np.savez_compressed(old, **fields)
    assert not Samples.load(old).from_file
    replace(samples, stage_decode_ns=np.array([0, 5, 0, 7])).save(new)
    assert Samples.load(new).stage_decode_ns.tolist() == [0, 5, 0, 7]


def test_where_the_path_begins_is_part_of_the_protocol():
    assert Measurement().input == "array"
    with pytest.raises(ValueError, match="array"):
        Measurement(input="disk")
