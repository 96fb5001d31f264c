"""What `bench predict` says it did is what lies in the folder."""

from __future__ import annotations

from bench.cli.commands.predict import _describe
from bench.run.predict.carry_out import Predicted
from bench.run.predict.manifest import Manifest
from bench.run.predict.worker.request import Item


def test_an_image_whose_line_in_the_journal_was_lost_or_whose_file_is_gone_is_not_counted(capsys, tmp_path):
    items = [
        Item(source=f"/images/{name}.png", name=name, kind="image") for name in ("done", "lost", "gone", "damaged")
    ]
    manifest = Manifest(tmp_path, {}, overwrite=False)
    manifest.plan(items)
    for name in ("done", "gone"):
        manifest.rows[f"/images/{name}.png"] |= {"status": "ok", "files": {"mask": f"{name}.png"}}
    manifest.rows["/images/damaged.png"] |= {"status": "unreadable", "reason": "it is cut off"}
    (tmp_path / "done.png").write_bytes(b"a mask")
    assert _describe(Predicted(items, 0, manifest, None), tmp_path, 0.0) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "1 of 4 predicted"
    assert said.err == (
        "unreadable: it is cut off\n"
        "not predicted, or their files are gone: /images/lost.png, /images/gone.png; the same command predicts them\n"
    )
