"""A data set whose scored split is corrupted as it is read; the other splits are what they are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bench.data.corruptions import elastic
from bench.data.corruptions.names import corrupted, random_of
from bench.data.corruptions.size import FACTORS, scaled_ground_truth, scaled_spacing
from bench.dataset import Dataset, DatasetAround, GroundTruth, Spacing
from bench.errors import Unsupported
from bench.records import Corruption, as_json_dict, digest
from bench.records.predictions import RgbImage
from bench.records.store.code import Code, code_of_files, reference_root


class CorruptedDataset(DatasetAround):
    """Keeps `bench.dataset.Dataset`; images of one split are corrupted, of sizes shifted the ground truth follows."""

    def __init__(self, dataset: Dataset, corruption: Corruption, split: str) -> None:
        """Wrap a data set; reads nothing."""
        super().__init__(dataset)
        self.corruption = corruption
        self._ids = frozenset(dataset.ids(split))

    def spacing(self, image_id: str) -> Spacing | None:
        """Return the distance of its pixels in millimetres; None where the data set does not say."""
        found, factor = super().spacing(image_id), self._factor(image_id)
        return found if factor is None else scaled_spacing(found, factor)

    def image(self, image_id: str) -> RgbImage:
        """Return the image, corrupted if it is of the scored split.

        Raises:
            Unsupported: If it has other channels than three, which corruptions are made for.
        """
        image = self.inner.image(image_id)
        if image_id not in self._ids:
            return image
        if image.shape[2:] != (3,):
            raise Unsupported(
                f"corruptions are made for RGB images; those of this data set have the shape {image.shape}. Leave "
                "'corruptions' out of the suite"
            )
        return corrupted(image, self.corruption, image_id)

    def target(self, image_id: str) -> GroundTruth:
        """Return its ground truth; scaled or warped as the image is."""
        if self.corruption.name == elastic.NAME and image_id in self._ids:
            found = self.inner.target(image_id)
            random = random_of(self.corruption, image_id)
            return elastic.warped_ground_truth(found, elastic.warp(found.size, self.corruption.severity, random))
        ground_truth, factor = self.inner.target(image_id), self._factor(image_id)
        return ground_truth if factor is None else scaled_ground_truth(ground_truth, factor)

    def fingerprint(self, split: str) -> str:
        """Return a digest of the data set's fingerprint and of what is done to its images."""
        return corrupted_fingerprint(self.inner.fingerprint(split), self.corruption)

    def _factor(self, image_id: str) -> float | None:
        if self.corruption.name not in FACTORS or image_id not in self._ids:
            return None
        return FACTORS[self.corruption.name][self.corruption.severity - 1]


def corrupted_fingerprint(fingerprint: str, corruption: Corruption) -> str:
    """Return the fingerprint of a split whose images are corrupted: with the code that does it."""
    return digest([fingerprint, as_json_dict(corruption), dict(_code(reference_root()))])


@lru_cache(maxsize=4)
def _code(root: Path) -> Code:
    return code_of_files(sorted((root / "bench" / "data" / "corruptions").glob("*.py")), root)
