"""Scenes drawn from a seed: nothing to download, exact ground truth for every task, bit-identical on every machine.

Textured sky, ground and water (stuff) with discs, squares, triangles, rings, crosses and dumbbells
(things): objects that occlude each other, have holes (ring) or come in two parts (dumbbell),
crowds of small ones, a void band, and a class that never occurs (hexagon; in `easy` the cross does
not either). Semantic, instance and panoptic ground truth come from the one scene.

Presets: in `easy` colour nearly tells the class and objects are large, so that a small network
learns it in seconds; in `standard` colour is a weak hint; in `hard` it tells nothing, objects are
small and many, and noise is strong.

Splits: each split draws from a stream of its own; no scene is in two.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pydantic import Field

from bench.data.formats.image_headers import require_drawable
from bench.data.formats.rasters import instances_from_panoptic
from bench.data.formats.shapes_scene import COLOURS, GENERATOR_VERSION, PRESETS, STUFF, Scene, draw_scene
from bench.dataset import GroundTruth
from bench.records import ClassSpec, Record, Size, TaskKind, as_json_dict, digest
from bench.records.predictions import Panoptic, RgbImage, SemanticMap

SOURCE = "drawn from a seed by bench/datasets/shapes.py"
LICENCE = "the images are free of rights, as is anything made with them"
TASKS: tuple[TaskKind, ...] = ("semantic", "instance", "panoptic")
OBTAIN = "It is drawn when it is used: there is nothing to fetch."
MIN_SIDE = 16
MOST = 1_000_000
"""Most images of a split."""
SPLITS = ("train", "val", "test")
KEPT_PIXELS = 2_000_000
"""Pixels of the scenes that a process keeps, at 8 bytes each: every case of a run is scored on the same ones."""
NAMES = ("sky", "ground", "water", "disc", "square", "triangle", "ring", "cross", "dumbbell", "hexagon")


class Options(Record):
    """Options that a suite may set.

    Attributes:
        preset: Difficulty of the scenes.
        size: Image size, (height, width), each at least 16.
        seed: Seed of the scenes: another seed draws other scenes.
        train, val, test: Images per split.
    """

    preset: Literal["easy", "standard", "hard"] = "standard"
    size: Size = Size(128, 128)
    seed: int = Field(default=0, ge=0)
    train: int = Field(default=480, ge=1, le=MOST)
    val: int = Field(default=64, ge=1, le=MOST)
    test: int = Field(default=200, ge=1, le=MOST)


@lru_cache(maxsize=2)
def open_dataset(options: Options) -> Shapes:
    """Return the data set, the same one for the same options; draws nothing yet."""
    require_drawable("shapes", options.size, MIN_SIDE)
    return Shapes(options)


class Shapes:
    """The data set; see the module's docstring."""

    classes = tuple(
        ClassSpec(name=name, is_thing=label not in STUFF, colour=COLOURS[label]) for label, name in enumerate(NAMES)
    )
    tasks = TASKS
    source = SOURCE
    licence = LICENCE

    def __init__(self, options: Options) -> None:
        """Keep the options; scenes are drawn when asked for."""
        self._options = options
        height, width = options.size
        # At least `image` and `target` of one id are asked for one after the other.
        self._scene = lru_cache(maxsize=max(2, KEPT_PIXELS // (height * width)))(self._drawn)

    def splits(self) -> tuple[str, ...]:
        """`train`, `val`, `test`."""
        return SPLITS

    def ids(self, split: str) -> tuple[str, ...]:
        """`shapes-<split>-<number>`."""
        count = {"train": self._options.train, "val": self._options.val, "test": self._options.test}[split]
        return tuple(f"shapes-{split}-{index:05d}" for index in range(count))

    def notes(self, split: str) -> tuple[str, ...]:  # noqa: ARG002 - the same in all of them
        """Say which classes no scene of the preset shows."""
        drawn = {*STUFF, *PRESETS[self._options.preset].classes}
        never = [name for label, name in enumerate(NAMES) if label not in drawn]
        return (
            f"preset {self._options.preset} draws no {' and no '.join(never)}, so that whatever is predicted "
            "as one is wrong and counts as the worst value in a mean over classes",
        )

    def image(self, image_id: str) -> RgbImage:
        """Return the scene's image, uint8, (H, W, 3)."""
        return self._scene(image_id).image.copy()

    def target(self, image_id: str) -> GroundTruth:
        """Return the scene's ground truth in all three forms."""
        scene = self._scene(image_id)
        panoptic = Panoptic(scene.segment_ids.copy(), scene.segments)
        return GroundTruth(
            semantic=SemanticMap(scene.labels.copy()),
            instances=instances_from_panoptic(panoptic, self.classes),
            panoptic=panoptic,
        )

    def size(self, image_id: str) -> Size:  # noqa: ARG002 - all scenes have one size
        """Return the size of every scene."""
        return self._options.size

    def fingerprint(self, split: str) -> str:
        """Return the hash of the generator's version and of all that decides the split's pixels."""
        options = as_json_dict(self._options)
        decisive = [options["preset"], options["size"], options["seed"], options[split], split, GENERATOR_VERSION]
        return digest(["shapes", *decisive])

    def _drawn(self, image_id: str) -> Scene:
        _, split, number = image_id.split("-")
        options = self._options
        return draw_scene(options.size, options.preset, options.seed, SPLITS.index(split), int(number))
