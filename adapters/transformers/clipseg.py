"""CLIPSeg of transformers: each class is asked for by its name, and the surest name has the pixel.

Lüddecke and Ecker, Image Segmentation Using Text and Image Prompts, CVPR 2022 (https://arxiv.org/abs/2112.10003). CLIP
stays as it is; a training changes the decoder alone, as its authors do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegTextConfig

from adapters._torch.input import IMAGENET
from adapters._torch.network import SemanticNetwork, head_of
from adapters._torch.options import read_options
from adapters._torch.padding import PadsToSquare
from adapters.transformers.options import CLIPSegOptions
from adapters.transformers.pixels import read_config
from adapters.transformers.published import load_published, network_of, place_of
from bench.errors import BenchError, in_one_line
from bench.records import ModelSpec, Size, TaskSpec

PUBLISHED_SIDE = 352
"""Pixels of the squares that the published weights were trained on."""


class AskedClasses(nn.Module):
    """CLIPSeg asked for each of some texts: logits (B, K, H, W), a channel for each.

    Args:
        module: Module of transformers.
        tokens: Tokens of the texts, int64, (K, length).
    """

    tokens: Tensor

    def __init__(self, module: CLIPSegForImageSegmentation, tokens: Tensor) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("tokens", tokens, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits of squares: its decoder takes no others."""
        module, images, texts = self.module, len(pixels), len(self.tokens)
        with torch.no_grad():
            asked = module.clip.get_text_features(self.tokens).pooler_output  # (K, projection)
            seen = module.clip.vision_model(pixels, interpolate_pos_encoding=True, output_hidden_states=True)
        # The first of the hidden states is the embedding of the patches.
        layers = [seen.hidden_states[i + 1].repeat_interleave(texts, dim=0) for i in module.extract_layers]
        logits: Tensor = module.decoder(layers, asked.repeat(images, 1)).logits
        return logits.view(images, texts, *logits.shape[-2:])


def make_network(model: ModelSpec, task: TaskSpec) -> SemanticNetwork:
    """Return the CLIPSeg of a model config, asked for the classes of a task.

    Raises:
        BenchError: If an option is wrong or the pretrained weights cannot be had.
        Unsupported: If the task has too few or too many classes.
    """
    options = read_options(CLIPSegOptions, model)
    head = head_of("softmax", None, task)
    names = [spec.name for spec in task.classes]
    config = read_config(CLIPSegConfig, options.pretrained, options.arguments, model.label)
    assert isinstance(config, CLIPSegConfig)
    published = None
    if options.pretrained is None or model.weights is not None:
        module: Any = CLIPSegForImageSegmentation(config)
    else:
        published = load_published(CLIPSegForImageSegmentation, options.pretrained, config, model.label)
        module = published.module
    module.get_submodule("clip").requires_grad_(False)
    texts = [options.prompt.replace("{}", name) for name in names]
    assert isinstance(config.text_config, CLIPSegTextConfig)
    tokens = (
        _tokens(texts, options.pretrained, model.label)
        if options.pretrained is not None
        else bytes_as_tokens(texts, config.text_config)
    )
    side = PUBLISHED_SIDE if options.pretrained is not None else None
    vision: Any = config.vision_config
    return network_of(
        CLIPSegForImageSegmentation,
        config,
        model,
        published,
        module=PadsToSquare(AskedClasses(module, tokens), int(vision.patch_size), label=model.label),
        head=head,
        architecture={"network": "clipseg", **options.shape()},
        class_names=tuple(names),
        input=IMAGENET if side is None else replace(IMAGENET, size=Size(side, side)),
    )


def bytes_as_tokens(texts: Sequence[str], config: CLIPSegTextConfig) -> Tensor:
    """Return texts as the bytes that they are, int64, (K, length): from scratch there is no tokenizer.

    Raises:
        BenchError: If the vocabulary has no room for bytes beside the two tokens that begin and end a text.
    """
    first, last = int(config.bos_token_id or 0), int(_single(config.eos_token_id))
    if min(first, last) < 256 or config.vocab_size <= max(first, last):
        raise BenchError(
            f"option 'arguments': text_config needs bos_token_id and eos_token_id of 256 or above and below vocab_size "
            f"({config.vocab_size}); they are {first} and {last}"
        )
    longest = config.max_position_embeddings - 2
    rows = [[first, *text.encode()[:longest], last] for text in texts]
    length = max(map(len, rows))
    return torch.tensor([[*row, *[last] * (length - len(row))] for row in rows])


def _single(value: int | list[int] | None) -> int:
    return value[0] if isinstance(value, list) else value or 0


def _tokens(texts: Sequence[str], source: str, label: str) -> Tensor:
    try:
        tokenizer = AutoTokenizer.from_pretrained(place_of(source))
        read: Tensor = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")["input_ids"]
        # Without its files transformers makes a tokenizer that knows no words.
        heard = str(tokenizer.decode(read[0], skip_special_tokens=True)).strip().lower()
        if heard != texts[0].strip().lower():
            raise ValueError(f"it reads {texts[0]!r} as {heard!r}")
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{label}: option 'pretrained': no tokenizer at {source!r} ({in_one_line(error, 160)}); CLIPSeg is asked "
            "by words: put the files of its tokenizer into the folder too"
        ) from None
    return read
