"""Compiling a counting kernel once; see `bench.records.compiled`."""

from bench.records.compiled import compiled as compiled
