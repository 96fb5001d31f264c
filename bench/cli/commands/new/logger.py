"""`bench new logger`: a logger of your own, a copy of results for another tool, and its test."""

from __future__ import annotations

from bench.cli.commands.new._files import NewModule

HELP = "write a logger of your own, a copy of results for another tool, and its test"
ORDER = 4
COMMAND = NewModule("logger", "bench.report.loggers", "logger", "loggers: [NAME]")
add_arguments, execute = COMMAND.add_arguments, COMMAND.execute
