"""Checks by their names that images in the layout of a published data set are its own: masks of indices do not say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.errors import DatasetError


def require_published_names(
    dataset: str, names: Sequence[str], published: str, *, example: str, classes: Sequence[str], instead: str
) -> None:
    """Raise `DatasetError` if no image has a name as the published ones have.

    Args:
        names: Names of images, without suffix.
        published: Regular expression of published names.
        example: A published name.
        classes: Names of its first classes, which the masks would show.
        instead: Clause on how a project of one's own in this layout is read.
    """
    if names and not any(re.fullmatch(published, name) for name in names):
        raise DatasetError(
            f"{dataset}: none of {len(names)} images has a name as {dataset}'s, {example}; the first is called "
            f"{names[0]}. These are most likely images of your own, whose masks hold other classes than "
            f"{', '.join(classes[:4])} and so on. {instead}; or, if the masks are {dataset}'s under other names of "
            "images, say the data set's option renamed: true.",
            kind="labels",
        )
