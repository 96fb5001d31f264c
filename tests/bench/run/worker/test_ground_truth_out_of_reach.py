"""A predicting or timing adapter is handed images and nothing that leads to their ground truth."""

from __future__ import annotations

import pytest

from bench.data.formats.by_name import open_dataset
from bench.records import Status
from bench.records.store.runs import new_run
from bench.run.worker.images import Images
from tests.bench.suites import SHAPES, run_suite, write_suite

SUSPICIOUS_ADAPTER = '''
from adapters.fake.adapter import Adapter as Fake


class Adapter(Fake):
    """Refuses anything but bare arrays that own their memory."""

    def preprocess(self, images):
        for image in images:
            if type(image).__name__ != "ndarray" or image.base is not None or image.shape != (32, 32, 3):
                raise RuntimeError(f"was handed a {type(image).__name__} of shape {image.shape} on {type(image.base)}")
        return super().preprocess(images)
'''


@pytest.mark.parametrize("kind", ["predict", "time"])
def test_an_adapter_is_handed_bare_arrays(tmp_path, monkeypatch, kind):
    folder = tmp_path / "further" / "suspicious"
    (folder / "models").mkdir(parents=True)
    (folder / "adapter.py").write_text(SUSPICIOUS_ADAPTER)
    (folder / "models" / "plain.yaml").write_text(
        "description: d\ntask: semantic\ntrainable: false\noptions: {behaviour: slow}\n"
    )
    monkeypatch.setenv("BENCH_ADAPTERS", str(folder.parent))
    suite = write_suite(tmp_path, ["suspicious/plain"])
    ran = run_suite(suite, new_run(tmp_path / "results", "suite"), tmp_path / "results")
    assert ran.outcome(kind, "suspicious/plain").status is Status.OK


def test_the_images_of_a_job_offer_their_ids_their_pixels_and_their_files_only():
    dataset = open_dataset("shapes", SHAPES["options"])
    images = Images(dataset, dataset.ids("test"))
    assert [name for name in dir(images) if not name.startswith("_")] == ["encoded", "ids", "image"]
