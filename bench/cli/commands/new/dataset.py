"""`bench new dataset`: a data set of your own and a test that reads what it wrote."""

from __future__ import annotations

from bench.cli.commands.new._files import NewModule

HELP = "write a data set of your own and a test that reads what it wrote"
ORDER = 3
COMMAND = NewModule("dataset", "bench.datasets", "data set", "datasets: [{name: NAME, options: {root: …}}]")
add_arguments, execute = COMMAND.add_arguments, COMMAND.execute
