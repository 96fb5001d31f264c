"""Images with prompts are timed like any others, and their number of prompts is not taken for a cache."""

from __future__ import annotations

import numpy as np

from bench.measure.audits import cached_answers, with_changed_pixel
from bench.records.prompts import PromptedImage, Prompts
from tests.bench.measure.scripted import ScriptedAdapter, ScriptedClock, blank

MS = 1_000_000


class TakesTimePerPrompt(ScriptedAdapter):
    """Each prompt costs a millisecond; an image without any costs one too."""

    def infer(self, batch):
        self.clock.now_ns += sum(1 + len(image.prompts) for image in batch) * MS
        return batch


class RemembersImages(TakesTimePerPrompt):
    """An image that was seen before costs nothing but a hundredth of a millisecond."""

    def infer(self, batch):
        self.seen = getattr(self, "seen", set())
        for image in batch:
            known = image.tobytes() in self.seen
            self.seen.add(image.tobytes())
            self.clock.now_ns += MS // 100 if known else 2 * MS
        return batch


def images():
    """Images of one shape, the first with many prompts and the others with one."""
    return [PromptedImage(blank(), Prompts("point", np.zeros((count, 2)))) for count in (9, 1, 1, 1, 1, 1, 1, 1)]


def test_the_time_that_more_prompts_take_is_not_taken_for_a_cache():
    adapter = TakesTimePerPrompt(ScriptedClock())
    assert cached_answers(adapter, images(), 1, adapter.clock) is None


def test_a_cache_is_seen_where_images_have_prompts():
    adapter = RemembersImages(ScriptedClock())
    assert cached_answers(adapter, images(), 1, adapter.clock).name == "cached_or_content_dependent"


def test_no_new_image_of_the_audit_comes_twice_however_small_it_is():
    image = np.zeros((2, 3, 3), dtype=np.uint8)
    drawn = {with_changed_pixel(image, salt).tobytes() for salt in range(10**15, 10**15 + 6 * 255)}
    assert len(drawn) == 6 * 255
    assert image.tobytes() not in drawn
