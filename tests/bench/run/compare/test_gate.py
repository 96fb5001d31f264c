"""Gates are read strictly: every usage error at once, and a sign as it is meant."""

from __future__ import annotations

import pytest

from bench.errors import BenchError
from bench.run.compare.gate import Margin, load_gate, parsed_gate


def test_margins_are_global_of_models_of_classes_and_of_slices():
    gate = parsed_gate(
        {
            "mean_iou": "-0.5pt",
            "end_to_end_p50": "+3%",
            "peak_host_mib": "5 %",
            "models": {"unet/a": {"end_to_end_p50": "10%"}},
            "classes": {"rider": {"mean_iou": "2pt"}},
            "slices": {"night": {"images": "n_*", "mean_iou": "-1.5%"}},
        },
        "gate.yaml",
    )
    assert gate.margin("mean_iou", "unet/b") == Margin(0.005, relative=False)
    assert gate.margin("end_to_end_p50", "unet/b") == Margin(0.03, relative=True)
    assert gate.margin("end_to_end_p50", "unet/a") == Margin(0.10, relative=True)
    assert gate.margin("dice", "unet/a") is None
    assert gate.classes["rider"]["mean_iou"].of(0.4) == 0.02
    assert gate.slices["night"].margins["mean_iou"].of(0.4) == pytest.approx(0.006)


def test_every_usage_error_is_told_at_once():
    with pytest.raises(BenchError) as told:
        parsed_gate(
            {
                "mean_iuo": "-1pt",
                "end_to_end_p50": "3pt",
                "peak_host_mib": 5,
                "classes": {"rider": {"end_to_end_p50": "3%"}},
                "slices": {"night": {"mean_iou": "1pt"}},
                "models": ["x"],
            },
            "g.yaml",
        )
    text = str(told.value)
    assert text.startswith("g.yaml: ")
    for part in (
        "mean_iuo: no such quantity. Did you mean 'mean_iou'?",
        "end_to_end_p50: expected a margin in per cent, such as +3%, found '3pt'",
        "peak_host_mib: expected a margin",
        "classes.rider.end_to_end_p50: only scores have classes",
        "slices.night.images: expected patterns",
        "models: expected NAME",
    ):
        assert part in text


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [", "just text"])
def test_what_is_no_gate_is_refused(tmp_path, content):
    file = tmp_path / "gate.yaml"
    file.write_text(content)
    with pytest.raises(BenchError, match=r"gate\.yaml"):
        load_gate(file)
    with pytest.raises(BenchError, match=r"no\.yaml cannot be read"):
        load_gate(tmp_path / "no.yaml")


def test_a_slice_by_a_column_needs_both_and_its_table_lies_beside_the_gate(tmp_path):
    file = tmp_path / "gate.yaml"
    file.write_text("slices:\n  rain: {column: weather, value: rain, mean_iou: -1pt}\ntable: images.csv\n")
    gate = load_gate(file)
    assert gate.table == tmp_path / "images.csv"
    columns = {"weather": {"a": "rain", "b": "sun"}}
    assert gate.slices["rain"].chosen(["a", "b", "c"], columns) == ["a"]
    with pytest.raises(BenchError, match=r"slices\.x\.column: expected column: NAME and value: TEXT.*of both.*table:"):
        parsed_gate({"slices": {"x": {"column": "weather", "images": "a*", "mean_iou": "-1pt"}}, "table": 3}, "g.yaml")
