"""CLIPSeg asked for all classes at once, beside transformers asked for one after the other."""

from __future__ import annotations

import pytest
import torch
from transformers import CLIPSegForImageSegmentation

from adapters.transformers.clipseg import bytes_as_tokens
from bench.adapter import load_adapter, predict
from bench.errors import BenchError
from bench.records import ClassSpec, Size, Target, TaskSpec
from bench.suite.model_configs import resolve_model
from tests.adapters.parity_pictures import normalised, picture
from tests.adapters.rectangles import THREE_CLASSES

CONFIG = "transformers/clipseg_small"


def built(task=THREE_CLASSES, **target):
    adapter = load_adapter("transformers")
    adapter.build(resolve_model(CONFIG), task, Target(threads=1, **target), None)
    return adapter


@pytest.mark.parametrize("size", [Size(64, 64), Size(96, 96), Size(48, 48)], ids=str)
def test_labels_are_the_surest_of_single_answers_of_the_framework(size, tmp_path):
    adapter, image = built(), picture(size)
    module = adapter._chosen._network.module.module.module
    module.save_pretrained(tmp_path)
    own = CLIPSegForImageSegmentation.from_pretrained(tmp_path).eval()
    tokens = bytes_as_tokens(["ground", "red", "green"], own.config.text_config)
    with torch.inference_mode():
        each = [own(input_ids=row[None], pixel_values=normalised(image)).logits.reshape(size) for row in tokens]
    logits = adapter.infer(adapter.preprocess([image])).logits
    torch.testing.assert_close(logits[0], torch.stack(each), rtol=1e-3, atol=1e-4)
    expected = torch.stack(each).argmax(0).numpy()
    assert len(set(expected.ravel().tolist())) > 1
    (found,) = predict(adapter, [image])
    assert (found.labels != expected).sum() <= 1  # where two classes are equal to the last digit


def test_an_oblong_image_is_padded_to_a_square_and_cut_back():
    (found,) = predict(built(), [picture(Size(30, 50))])
    assert found.labels.shape == (30, 50)


def test_other_names_of_the_classes_are_other_questions():
    renamed = TaskSpec(
        kind="semantic", classes=tuple(ClassSpec(name=n, colour=(0, 0, 0)) for n in ("sky", "sea", "car"))
    )
    image = picture(Size(64, 64))
    logits = []
    for task in (THREE_CLASSES, renamed):
        adapter = built(task)
        logits.append(adapter.infer(adapter.preprocess([image])).logits)
    assert not torch.allclose(*logits)


def test_a_vocabulary_without_room_for_bytes_is_refused():
    from transformers import CLIPSegTextConfig

    small = CLIPSegTextConfig(vocab_size=100, bos_token_id=1, eos_token_id=2)
    with pytest.raises(BenchError, match="256 or above"):
        bytes_as_tokens(["a"], small)
