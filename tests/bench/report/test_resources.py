"""The table of memory, energy, operations and price; nothing where nothing was measured."""

from __future__ import annotations

import pandas as pd

from bench.records import Cost, DeviceBusy, EnergyUse, MemoryUse, Missing, Operations, ProfileResult, Status, explained
from bench.records.store import layout
from bench.records.store.files import write_record
from bench.records.store.runs import read_run
from bench.report import csv, json, markdown, terminal
from bench.report.resources import resources_measured, resources_notes, resources_table
from bench.report.summary.audit import Verdict
from bench.report.summary.summarise import RunSummary, summarise

MIB = 1 << 20
NO_GPU = Missing("the device is the processor")
MEMORY = {
    "host_rss_before_bytes": 200 * MIB,
    "host_rss_model_bytes": 50 * MIB,
    "host_rss_batch_bytes": 25 * MIB,
    "host_rss_peak_bytes": 275 * MIB,
    "weights_bytes": 2 * MIB,
    "torch_peak_allocated_bytes": NO_GPU,
    "torch_peak_reserved_bytes": NO_GPU,
    "device_used_delta_bytes": NO_GPU,
}
ENERGY = EnergyUse(
    method="a counter",
    covers="the whole package, other processes included",
    idle_s=5.0,
    idle_w=10.0,
    seconds=10.0,
    mean_w=30.0,
    images=40,
    joules_per_image=5.0,
)
BUSY = DeviceBusy(busy_ms=2.0, infer_ms=5.0, passes=15)
OPERATIONS = Operations(flops=6_000_000_000, activations=8_000_000, parameters=485_673, images=2, method="a method")


def memory(**changes) -> MemoryUse:
    return MemoryUse(**explained({**MEMORY, **changes}), peak_started_anew=True, batches=2, batch_size=2)


def profile(**changes) -> ProfileResult:
    parts = {"memory": memory(), "energy": ENERGY, "operations": OPERATIONS, "device_busy": BUSY}
    return ProfileResult(**explained({**parts, **changes}))


def with_profiles(run, *profiles: ProfileResult | None) -> RunSummary:
    """The finished run of two models, some of them profiled."""
    for number, found in enumerate(profiles):
        if found is not None:
            key = f"{number}e".ljust(64, "0")
            planned = run.planned[number].model_copy(update={"profile_key": key})
            run.planned[number] = planned
            write_record(run.write_job(planned, "profile", key) / layout.PROFILE, found)
    run.write_plan()
    return summarise(read_run(run.run))


def test_each_number_of_a_profile_has_its_column(finished):
    (row,) = resources_table(with_profiles(finished, profile())).records()
    assert row == {
        "model": "better",
        "weights MiB": "2.0",
        "host before MiB": "200",
        "+ model MiB": "50.0",
        "+ batch MiB": "25.0",
        "host peak MiB": "275",
        "J/image": "5.00",
        "images/J": "0.200",
        "idle W": "10.0",
        "mean W": "30.0",
        # 6e9 and 8e6 of a batch of two.
        "GFLOP/image": "3.00",
        "activations/image, millions": "4.00",
        "device busy ms/batch": "2.00",
        "launch-bound index": "2.50",
    }


def test_what_no_row_has_is_no_column_but_a_reason_under_the_table(finished):
    summary = with_profiles(
        finished, profile(energy=Missing("no counter here")), profile(energy=Missing("no counter here"))
    )
    assert "device MiB" not in resources_table(summary)
    assert "J/image" not in resources_table(summary)
    assert resources_notes(summary) == [
        "Not available: energy: no counter here.",
        "Not available: torch peak allocated, torch peak reserved, device used delta: the device is the processor.",
    ]


def test_a_reason_that_is_not_everybody_s_names_whose_it_is(finished):
    summary = with_profiles(finished, profile(), profile(operations=Missing("exported")))
    assert list(resources_table(summary)["GFLOP/image"]) == ["3.00", "–"]
    assert "Not available: operations of faster: exported." in resources_notes(summary)


def test_the_report_says_what_was_measured_how(finished):
    text = markdown.render(with_profiles(finished, profile()))
    assert "## Memory, energy and operations" in text
    how = text.partition("## How it was measured")[2].partition("## Environment")[0]
    assert "a counter; it covers the whole package, other processes included" in how
    assert "over at least 10.0 s" in how
    assert "by a method" in how


def test_a_peak_that_could_not_start_anew_is_told(finished):
    old = memory().model_copy(update={"peak_started_anew": False})
    assert "it covers the whole life of the process" in " ".join(
        resources_measured(with_profiles(finished, profile(memory=old)))
    )


def test_a_run_without_profiles_has_neither_table_nor_columns(finished):
    summary = with_profiles(finished)
    assert len(resources_table(summary)) == 0
    assert "Memory, energy" not in markdown.render(summary)
    assert not [
        name for name in csv.render(summary).splitlines()[0].split(",") if name.startswith(("profile", "joules"))
    ]


def test_a_profile_that_failed_leaves_its_row_out(finished):
    planned = finished.planned[0].model_copy(update={"profile_key": "e" * 64})
    finished.planned[0] = planned
    finished.write_job(planned, "profile", "e" * 64, status=Status.CRASHED, reason="so")
    summary = with_profiles(finished, None, profile())
    assert list(resources_table(summary)["model"]) == ["faster"]
    assert [(failure.kind, failure.reason) for failure in summary.failures] == [("profile", "so")]


def test_machines_read_the_raw_numbers(finished, tmp_path):
    summary = with_profiles(finished, profile())
    table = tmp_path / "results.csv"
    table.write_text(csv.render(summary))
    row = pd.read_csv(table).iloc[0]
    assert row["profile_host_rss_batch_bytes"] == 25 * MIB
    assert (row["joules_per_image"], row["images_per_joule"], row["flops_per_image"]) == (5.0, 0.2, 3e9)
    assert RunSummary.from_json(json.render(summary)) == summary


# --------------------------------------------------------------------------- price


def priced(summary: RunSummary) -> RunSummary:
    return summary.model_copy(update={"cost": Cost(price_per_hour=4.5, currency="CHF")})


def test_the_price_of_a_million_images_follows_from_the_throughput(finished):
    summary = priced(with_profiles(finished))
    # The synthetic passes: 250 and 500 images in 2 s. 1e6 / 125 / 3600 h x 4.5 = 10.
    assert resources_table(summary).records() == [
        {"model": "better", "CHF per million images": "10.0"},
        {"model": "faster", "CHF per million images": "5.00"},
    ]
    assert "4.5 CHF per hour" in resources_notes(summary)[-1]
    assert "CHF per million images" in terminal.render(summary)


def test_times_that_must_not_be_used_have_no_price(finished):
    summary = priced(with_profiles(finished))
    spoilt = [row.model_copy(update={"verdict": Verdict(state="invalid", reasons=())}) for row in summary.rows[:1]]
    summary = summary.model_copy(update={"rows": (*spoilt, *summary.rows[1:])})
    assert list(resources_table(summary)["model"]) == ["faster"]


def test_a_terminal_has_room_for_the_headlines_only(finished):
    table = resources_table(with_profiles(finished, profile()), brief=True)
    assert list(table.columns) == ["model", "host peak MiB", "J/image", "GFLOP/image"]
