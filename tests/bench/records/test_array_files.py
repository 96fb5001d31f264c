"""Archives that unpack to far more than their size are refused before anything is unpacked, by every reader of one."""

from __future__ import annotations

import io
import resource
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from adapters._torch.weight_files import read_weight_file
from bench.data.formats.arrays import read_array
from bench.data.formats.volume_arrays import read_npy_volume
from bench.data.predictions.probabilities import read_numbers
from bench.errors import BenchError
from bench.records.array_files import UNPACKED_LIMIT, bounded_zip, mapped_array, packed_arrays
from bench.records.damage import ARRAY_DAMAGE
from bench.records.store.samples import Samples
from bench.records.store.statistics import load_statistics
from bench.run.compare.sides import load_baseline
from bench.run.environments.interpreters import Inventory
from bench.run.environments.vulnerabilities import vulnerabilities_of
from bench.run.predict.weight_classes import classes_of_weights, torchscript_metadata
from bench.run.predict.weight_files import kind_of

GIB = 1024**3


def bomb(path: Path, member: str = "a.npy", gib: int = 3) -> Path:
    """Some megabytes that hold gibibytes of zeros."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (gib << 10, 1 << 20)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(member, "w", force_zip64=True) as file:
            file.write(head.getvalue())
            for _ in range(2):
                file.write(bytes(1 << 20))
        archive.infolist()[0].file_size = gib << 30  # as if all of it were there: the list of members says so
    return path


@pytest.fixture(autouse=True)
def little_memory():
    """What would be unpacked does not fit."""
    kept = resource.getrlimit(resource.RLIMIT_DATA)
    lines = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1]) for line in lines if line.startswith("VmData:")) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (held + GIB, kept[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, kept)


@pytest.mark.parametrize(
    ("name", "member", "read"),
    [
        ("samples.npz", "clock.npy", Samples.load),
        ("statistics.npz", "image_ids.npy", load_statistics),
        ("map.npz", "probabilities.npy", read_numbers),
        ("baseline.zip", "facts.json", load_baseline),
        ("weights.pt", "archive/data.pkl", kind_of),
        ("weights.npz", "a.npy", lambda path: read_weight_file(path, "m")),
        ("weights.pt", "archive/data.pkl", lambda path: read_weight_file(path, "m")),
        ("osv.zip", "a.json", lambda path: vulnerabilities_of(Inventory("CPython", "3.11", []), path)),
    ],
)
def test_a_bomb_is_refused_with_the_size_that_it_claims(tmp_path, name, member, read):
    with pytest.raises(BenchError, match=r"bytes unpack to 3\.0 GiB, more than files do; for one of yours set"):
        read(bomb(tmp_path / name, member))


def test_names_of_classes_are_not_looked_for_in_a_bomb(tmp_path):
    assert classes_of_weights(bomb(tmp_path / "w.pt", "archive/data.pkl")) is None
    assert torchscript_metadata(bomb(tmp_path / "m.torchscript", "m/extra/config.txt")) == {}


def test_the_limit_can_be_set(tmp_path, monkeypatch):
    path = bomb(tmp_path / "a.npz")
    monkeypatch.setenv(UNPACKED_LIMIT, "3")
    with bounded_zip(path) as archive:
        assert archive.namelist() == ["a.npy"]
    monkeypatch.setenv(UNPACKED_LIMIT, "much")
    with pytest.raises(ValueError, match="BENCH_MAX_UNPACKED_GIB=much is no whole number of GiB"), bounded_zip(path):
        pass


def test_arrays_of_zeros_that_are_not_large_are_read_though_they_are_packed_a_thousand_times(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", zeros=np.zeros((64, 1 << 20), np.uint8))
    assert (tmp_path / "a.npz").stat().st_size < (64 << 20) / 900
    with packed_arrays(tmp_path / "a.npz") as arrays:
        assert arrays["zeros"].shape == (64, 1 << 20)


@pytest.mark.parametrize("read", [read_array, read_numbers, lambda path: read_npy_volume(path, pixels=False)])
def test_an_archive_of_arrays_that_is_called_an_array_is_refused(tmp_path, read):
    np.savez(tmp_path / "a.npz", np.zeros((2, 2), np.uint8))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(BenchError, match="cannot be read as"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("read", [Samples.load, load_statistics])
def test_an_array_in_the_place_of_an_archive_is_damage(tmp_path, read):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(BenchError, match="damaged"):
        read(tmp_path / "a.npy")


def test_an_array_is_mapped_and_not_read(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4))
    assert isinstance(mapped_array(tmp_path / "a.npy"), np.memmap)


def test_a_damaged_archive_is_told_in_a_paragraph_whatever_it_calls_its_members(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **{"a b " * 4000: np.zeros(3)})
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(BenchError, match="cannot be read as an array") as refused:
        read_numbers(path)
    assert len(str(refused.value)) < 600


def test_arrays_are_those_of_numpys_reader_and_every_changed_bit_is_told_or_changes_nothing(tmp_path):
    random, file = np.random.default_rng(0), tmp_path / "a.npz"
    arrays = {"plain": random.integers(0, 9, 30), "é": np.array(["a", "ü"]), "none": np.zeros((0, 3))}
    np.savez_compressed(file, **arrays)
    whole = file.read_bytes()
    for place in range(-1, len(whole)):
        content = bytearray(whole)
        content[place] ^= (place >= 0) << int(random.integers(8))
        with suppress(*ARRAY_DAMAGE), packed_arrays(io.BytesIO(content)) as found:
            for name in set(found) & set(arrays):
                np.testing.assert_array_equal(found[name], arrays[name])
                assert found[name].dtype == arrays[name].dtype
            if place < 0:
                assert set(found) == set(arrays)
