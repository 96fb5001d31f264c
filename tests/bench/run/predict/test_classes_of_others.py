"""Class names in other people's weights are read without their framework."""

from __future__ import annotations

import json
import zipfile

import pytest

from bench.run.predict.models import Overrides, from_model_config
from bench.run.predict.weight_classes import classes_of_weights

torch = pytest.importorskip("torch", reason="torch is not installed; make install")


class Network(torch.nn.Module):
    """A pickled module that knows its classes, as Ultralytics keeps them."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 1, 1)
        self.names = {1: "square", 0: "disc"}


def test_names_of_a_pickled_module_are_read(tmp_path):
    torch.save({"model": Network(), "ema": None}, tmp_path / "best.pt")
    assert zipfile.is_zipfile(tmp_path / "best.pt")
    assert classes_of_weights(tmp_path / "best.pt") == ("disc", "square")


@pytest.mark.parametrize(("names", "expected"), [(["bg", "cat"], ("bg", "cat")), (["LABEL_0", "LABEL_1"], None)])
def test_names_of_a_folder_of_transformers_are_read_unless_they_are_numbers(names, expected, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"id2label": dict(enumerate(names))}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert classes_of_weights(tmp_path) == expected
    assert classes_of_weights(tmp_path / "model.safetensors") == expected


def test_a_folder_is_found_from_where_the_command_is_run(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text(json.dumps({"label2id": {"cat": 1, "background": 0}}))
    monkeypatch.chdir(tmp_path)
    found = from_model_config("transformers/segformer_b0", Overrides(options={"pretrained": "mine"}))
    assert found.model.options["pretrained"] == str(tmp_path / "mine")
    assert [spec.name for spec in found.classes] == ["background", "cat"]
