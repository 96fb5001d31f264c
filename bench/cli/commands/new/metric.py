"""`bench new metric`: a metric of your own and a test with known answers."""

from __future__ import annotations

from bench.cli.commands.new._files import NewModule

HELP = "write a metric of your own and a test with known answers"
ORDER = 2
COMMAND = NewModule("metric", "bench.metrics", "metric", "metrics: [NAME]")
add_arguments, execute = COMMAND.add_arguments, COMMAND.execute
