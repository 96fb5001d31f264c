"""The whole summary as JSON, raw numbers with stable names: `bench.report.summary.summarise.RunSummary`."""

from __future__ import annotations

from bench.report.summary.summarise import RunSummary


def render(summary: RunSummary) -> str:
    """Return the summary as JSON text; `RunSummary.from_json` reads it back."""
    return summary.to_json()
