"""Clocks, sampling, audits, loads, memory, energy and telemetry of a worker."""
