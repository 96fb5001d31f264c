"""Names in letters that the font of the pictures has not: another font is asked, and what none has is told, once."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from bench.records.store.runs import read_run
from bench.report import write_report
from bench.report.draw import figure, pictures


def drawn(path, text):
    with figure.drawing():
        picture = Figure(figsize=(2, 1))
        picture.text(0.1, 0.5, text)
        figure.save(picture, path)
    return path.read_bytes()


@pytest.fixture
def without_further_fonts(monkeypatch):
    monkeypatch.setattr(figure, "_installed", lambda: ())


@pytest.mark.usefixtures("without_further_fonts")
def test_letters_that_no_font_has_are_collected_and_no_warning_is_shown(tmp_path, recwarn, capsys):
    with figure.missing_letters() as letters:
        drawn(tmp_path / "a.png", "模型一 and a")
        drawn(tmp_path / "b.png", "模型二")
    assert letters == set("模型一二")
    assert not recwarn.list
    assert capsys.readouterr().err == ""
    assert figure.told_of(letters)[0].startswith("boxes stand for 4 letters of names in the pictures")


@pytest.mark.usefixtures("without_further_fonts")
def test_where_nobody_collects_them_one_line_tells(tmp_path, capsys):
    drawn(tmp_path / "a.png", "模型")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "2 letters" in said
    drawn(tmp_path / "b.png", "latin")
    assert capsys.readouterr().err == ""


def test_a_font_that_has_a_letter_is_asked_for_it_alone(tmp_path, monkeypatch):
    def letters_of(family):
        return set(get_font(findfont(family)).get_charmap())

    letter = chr(min(letters_of("STIXNonUnicode") - letters_of("DejaVu Sans")))
    monkeypatch.setattr(figure, "_installed", lambda: ())
    latin = drawn(tmp_path / "latin.png", "abc")
    monkeypatch.setattr(figure, "_installed", lambda: ("STIXNonUnicode",))
    with figure.missing_letters() as letters:
        drawn(tmp_path / "letter.png", letter)
        assert drawn(tmp_path / "latin again.png", "abc") == latin
    assert not letters


@pytest.mark.usefixtures("without_further_fonts")
def test_a_report_tells_of_letters_and_is_drawn_again_since_a_font_may_be_there_by_then(
    synthetic, tmp_path, monkeypatch
):
    calls, draw = [], pictures.draw_pictures
    monkeypatch.setattr(pictures, "draw_pictures", lambda *given: calls.append(given) or draw(*given))
    planned = synthetic.add("模型一")
    synthetic.write_plan()
    synthetic.train(planned)
    for _ in range(2):
        report = write_report(read_run(synthetic.run), synthetic.run.path)[0].read_text(encoding="utf-8")
        assert report.count("boxes stand for 3 letters of names") == 1
    assert len(calls) == 2
