"""`bench data preview`: a contact sheet with overlays."""

from __future__ import annotations

import sys

from bench.cli.arguments import Namespace, Parser, positive
from bench.cli.commands.data._choice import add_choice, add_splits, opened_splits, picture_of

HELP = "draw images with their annotations"
ORDER = 5


def add_arguments(parser: Parser) -> None:
    add_choice(parser)
    add_splits(parser)
    parser.add_argument("--images", type=int, default=6, metavar="N", help="images on the sheet (default: 6)")
    parser.option("--out", "FILE.png", "file to write (default: RESULTS/data/NAME-preview.png)")


def execute(options: Namespace) -> int:
    """Draw the sheet; its path is the answer."""
    from bench.data.preview import preview

    choice, dataset, splits = opened_splits(options)
    count = positive(options.images, "--images") or 1
    path = picture_of(options, choice, "preview")
    drawn = preview(dataset, splits, path, images=count)
    # Beside the rows there is not always room for the whole id.
    print(f"from the top: {', '.join(f'{one.split}/{one.image_id}' for one in drawn)}", file=sys.stderr)
    print(path)
    return 0
